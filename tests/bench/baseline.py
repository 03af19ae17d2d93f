#!/usr/bin/env python3
"""Converts SCAN to CEF with Python's standard library.

Usage: baseline.py SCAN.xml > events.cef

Each finding becomes one event with the fields that ArcSight's SmartConnector maps; each open port and each
operating system becomes an additional event. HTML is stripped, values are escaped and truncated. A text that many
findings share is cleaned once, as in the product, so that the comparison is fair.
"""

import functools
import html
import re
import sys
import xml.etree.ElementTree as ET
from datetime import datetime

SEVERITY = {"1": "3", "2": "5", "3": "7", "4": "8", "5": "10"}
KINDS = {"INFO": "INFOS", "SERVICE": "Services", "VULN": "VULN", "PRACTICE": "PRACTICES"}
BREAK = re.compile(r"(?i)<(?:br|p|/p|li|/li|ul|/ul)\b[^>]*>")
TAG = re.compile(r"</?[A-Za-z][^>]*>")
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f\x85\u2028\u2029]")
LIMIT = 4000


def main(path):
    write = sys.stdout.write
    when = "0"
    for event, element in ET.iterparse(path, events=("end",)):
        if element.tag == "IP":
            write("".join(events_of(element, when, path)))
            element.clear()
        elif element.tag == "HEADER":
            when = receipt_time(element)


def receipt_time(header):
    for key in header.iter("KEY"):
        if key.get("value") == "DATE":
            return str(int(datetime.fromisoformat(key.text.replace("Z", "+00:00")).timestamp() * 1000))
    return "0"


def events_of(ip, when, path):
    address = ip.get("value")
    name = ip.get("name")
    netbios = ip.findtext("NETBIOS_HOSTNAME")
    target = "c6a3=" if ":" in address else "dst="
    common = f"rt={when} {target}{address} oldFilePath={extension(path)}"
    system = ip.findtext("OS")
    if system:
        yield (f"CEF:0|Qualys|Qualys|unknown|Qualys\\|URI\\|{header(system)}|Operating System {header(system)}|3|"
               f"{common} dhost={extension(name or netbios or '')} filePath={extension(system)} deviceDomain=Network\n")
    for section in ip:
        for category in section.iter("CAT"):
            port_fields = ""
            if category.get("port"):
                port_fields = f" dpt={category.get('port')} proto={category.get('protocol')}"
            for finding in category:
                yield event(finding, category, f"{common}{port_fields}", name, netbios)
                if finding.get("number") in ("82023", "82004"):
                    yield from open_ports(finding, common, name or netbios or "")


def event(finding, category, common, name, netbios):
    kind = KINDS[finding.tag]
    number = finding.get("number")
    title = finding.findtext("TITLE") or ""
    host = (netbios or name) if finding.tag == "INFO" else (name or netbios)
    label = f"Vulnerability:{number}" if finding.tag == "VULN" else header(title)
    parts = [
        f"CEF:0|Qualys|Qualys|unknown|Qualys\\|{kind}\\|{number}|{label}|{SEVERITY.get(finding.get('severity'), '0')}|{common}",
        f"cat={extension(category.get('value'))} deviceSeverity={finding.get('severity')}",
    ]
    if host:
        parts.append(f"dhost={extension(host)}")
    cves = ",".join(cve.findtext("ID") for cve in finding.iter("CVE_ID"))
    if cves:
        parts.append(f"cs2Label=CVE ID cs2={extension(cves)}")
    score = finding.findtext("CVSS_BASE")
    if score and score != "-":
        parts.append(f"cs6Label=CVSS Base Score cs6={extension(score)}")
    exploit = " ".join(text.text or "" for text in finding.iter("DESC"))
    if exploit:
        parts.append(f"ad.ExploitDescription={clean(exploit)}")
    for slot, label, tag in (("cs3", "Diagnosis", "DIAGNOSIS"), ("cs4", "Consequence", "CONSEQUENCE"),
                             ("cs5", "Solution", "SOLUTION")):
        text = finding.findtext(tag)
        if text:
            parts.append(f"{slot}Label={label} {slot}={clean(text)}")
    result = finding.findtext("RESULT")
    if result:
        parts.append(f"cs1Label=Result cs1={extension(result)}")
    return " ".join(parts) + "\n"


def open_ports(finding, common, host):
    for row in (finding.findtext("RESULT") or "").splitlines()[1:]:
        port = row.split("\t")[0]
        yield (f"CEF:0|Qualys|Qualys|unknown|Qualys\\|Open Port\\|{finding.get('number')}|Open Port|3|"
               f"{common} dhost={extension(host)} dpt={port} proto=tcp cs1Label=Result cs1={extension(row)}\n")


@functools.lru_cache(maxsize=8192)
def clean(text):
    return extension(html.unescape(TAG.sub("", BREAK.sub("\n", text))))


def extension(text):
    text = text.replace("\r\n", "\n").replace("\\", "\\\\").replace("=", "\\=")
    text = CONTROL.sub(" ", text).strip().replace("\n", "\\n")
    return text if len(text) <= LIMIT else text[:LIMIT - 1] + "…"


def header(text):
    return CONTROL.sub(" ", text).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").strip()


if __name__ == "__main__":
    main(sys.argv[1])
