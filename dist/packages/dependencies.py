#!/usr/bin/env python3
"""Writes the licenses of all crates that are linked into a package, and its bill of materials (CycloneDX 1.5, JSON).

Reads `cargo tree` (which crates, with the features of these packages), `cargo metadata` (license, sources, edges) and the
lock file (checksums). Compiles nothing. Ends with an error if a license text cannot be found.
"""
import argparse
import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib
import uuid

LICENSE_FILE = re.compile(r"(?i)^(un)?(licen[sc]e|copying|copyright|notice)([-._].*)?$")
TEXTS = pathlib.Path(__file__).parent / "license-texts"
RULE = "=" * 100


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def target():
    return next(line.split()[1] for line in output("rustc", "-vV").splitlines() if line.startswith("host:"))


def linked(manifest, crates, features):
    """Names and versions of the crates that are linked into the packages `crates`."""
    command = ["cargo", "tree", "--locked", "--manifest-path", manifest, "--edges", "normal,no-proc-macro", "--prefix", "none"]
    command += ["--target", target(), "--format", "{p}", *features]
    lines = output(*command, *(word for crate in crates for word in ("--package", crate))).splitlines()
    # "name v1.2.3 (path) (*)"
    return {(line.split()[0], line.split()[1].lstrip("v")) for line in lines if line}


class Crate:
    """A crate of the dependency tree."""

    def __init__(self, package, checksums):
        self.id = package["id"]
        self.name, self.version = package["name"], package["version"]
        self.folder = pathlib.Path(package["manifest_path"]).parent
        self.is_own = package["source"] is None
        # The old form of Cargo, `MIT/Apache-2.0`, means a choice.
        self.license = (package["license"] or "").replace("/", " OR ")
        self.authors = [re.sub(r"\s*<.*>", "", author) for author in package["authors"]]
        self.repository = package["repository"]
        self.checksum = checksums.get((self.name, self.version))

    @property
    def url(self):
        return f"pkg:cargo/{self.name}@{self.version}"

    def license_texts(self):
        """Pairs of a file name and its text: of the crate's source, else the standard text of its license."""
        files = sorted(path for path in self.folder.iterdir() if path.is_file() and LICENSE_FILE.match(path.name))
        if files:
            return [(path.name, path.read_text(encoding="utf-8", errors="replace").strip()) for path in files]
        for name in ("MIT", "Apache-2.0", "Zlib"):
            if name in re.split(r"[ ()]+", self.license):
                authors = ", ".join(self.authors) or f"the authors of {self.name}"
                text = (TEXTS / f"{name}.txt").read_text(encoding="utf-8").strip().replace("AUTHORS", authors)
                return [(f"standard text of {name}, because the crate contains none", text)]
        sys.exit(f"dependencies.py: {self.name} {self.version} has no license file, and its license is {self.license!r}")


def read(arguments):
    """The linked crates, sorted, and their edges."""
    features = arguments.features.split()
    wanted = linked(arguments.manifest, arguments.crates, features)
    metadata = json.loads(output("cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target(),
                                 "--manifest-path", arguments.manifest, *features))
    lock = pathlib.Path(metadata["workspace_root"]) / "Cargo.lock"
    checksums = {(package["name"], package["version"]): package.get("checksum")
                 for package in tomllib.loads(lock.read_text())["package"]}
    crates = [Crate(package, checksums) for package in metadata["packages"] if (package["name"], package["version"]) in wanted]
    crates.sort(key=lambda crate: (crate.name, crate.version))
    by_id = {crate.id: crate for crate in crates}
    edges = {node["id"]: sorted(by_id[edge["pkg"]].url for edge in node["deps"]
                                if edge["pkg"] in by_id and any(kind["kind"] is None for kind in edge["dep_kinds"]))
             for node in metadata["resolve"]["nodes"] if node["id"] in by_id}
    return crates, edges


def rust():
    """Version of the compiler, whose standard library is linked too."""
    return next(line.split()[1] for line in output("rustc", "-vV").splitlines() if line.startswith("release:"))


def write_licenses(arguments, crates):
    foreign = [crate for crate in crates if not crate.is_own]
    lines = [
        f"Licenses of the software that is linked into {arguments.name} {arguments.version}",
        "",
        f"{len(foreign)} crates, and the standard library of Rust {rust()} (MIT OR Apache-2.0, https://www.rust-lang.org).",
        "Where a license offers a choice, Scanbridge uses the crate under any of them. The source of each crate is at",
        "https://crates.io/crates/NAME/VERSION; crates under MPL-2.0 are used unchanged.",
        "",
        *(f"  {crate.name} {crate.version}: {crate.license}" for crate in foreign),
    ]
    # Many crates have the same text, so each text is there once.
    texts = {}
    for crate in foreign:
        for file, text in crate.license_texts():
            texts.setdefault(text, []).append(f"{crate.name} {crate.version} ({file})")
    apache = (TEXTS / "Apache-2.0.txt").read_text().strip()
    texts.setdefault(apache, []).append(f"the standard library of Rust {rust()}")
    for text, users in texts.items():
        lines += ["", RULE, *users, RULE, "", text]
    pathlib.Path(arguments.licenses).write_text("\n".join(lines) + "\n", encoding="utf-8")


def component(crate):
    entry = {"type": "library", "bom-ref": crate.url, "name": crate.name, "version": crate.version, "scope": "required"}
    if crate.checksum:
        entry["hashes"] = [{"alg": "SHA-256", "content": crate.checksum}]
    entry["licenses"] = [{"expression": crate.license}]
    if not crate.is_own:
        entry["purl"] = crate.url
    if crate.repository:
        entry["externalReferences"] = [{"type": "vcs", "url": crate.repository}]
    return entry


def files(tree):
    """The programs and plugins of the package, as they are shipped."""
    for path in sorted(pathlib.Path(tree).rglob("*")):
        if path.is_file() and not path.is_symlink() and path.open("rb").read(4) == b"\x7fELF":
            name = f"/{path.relative_to(tree)}"
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            yield {"type": "file", "bom-ref": f"file:{name}", "name": name, "hashes": [{"alg": "SHA-256", "content": digest}]}


def write_bill(arguments, crates, edges):
    seconds = int(os.environ["SOURCE_DATE_EPOCH"])
    main = {"type": "application", "bom-ref": arguments.name, "name": arguments.name, "version": arguments.version,
            "licenses": [{"expression": "MIT OR Apache-2.0"}]}
    library = {"type": "library", "bom-ref": f"rust-std@{rust()}", "name": "rust-std", "version": rust(), "scope": "required",
               "licenses": [{"expression": "MIT OR Apache-2.0"}]}
    shipped = list(files(arguments.tree))
    roots = sorted(crate.url for crate in crates if crate.name in arguments.crates)
    bill = {
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": {"timestamp": datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                     "component": main},
        "components": [*map(component, crates), library, *shipped],
        "dependencies": [
            {"ref": arguments.name, "dependsOn": [*roots, library["bom-ref"]]},
            *({"ref": crate.url, "dependsOn": edges[crate.id]} for crate in crates),
        ],
    }
    # The same content has the same serial number.
    bill["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(bill, sort_keys=True))}"
    pathlib.Path(arguments.sbom).write_text(json.dumps(bill, indent=1) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for option in ("name", "version", "manifest", "tree", "licenses", "sbom"):
        parser.add_argument(f"--{option}", required=True)
    parser.add_argument("--features", default="", help="options of cargo that select features")
    parser.add_argument("crates", nargs="+", help="crates whose programs or libraries are in the package")
    arguments = parser.parse_args()
    crates, edges = read(arguments)
    write_licenses(arguments, crates)
    write_bill(arguments, crates, edges)


if __name__ == "__main__":
    main()
