//! A CEF event as columns of the table CommonSecurityLog.

use scanbridge_json_records::push_text;

/// Appends the members of an event, each after a comma, and closes the object.
pub(crate) fn append(out: &mut Vec<u8>, event: &str, id: &str) {
    let (header, extension) = split(event);
    let columns =
        ["DeviceVendor", "DeviceProduct", "DeviceVersion", "DeviceEventClassID", "Activity", "LogSeverity"];
    // The first field is the version of CEF.
    for (column, field) in columns.iter().zip(header.iter().skip(1)) {
        push(out, column, &unescaped(field));
    }
    let mut additional = format!("RecordId={id}");
    for (key, value) in pairs(extension) {
        match COLUMNS.iter().find(|(known, _)| *known == key) {
            Some((_, column)) if NUMBERS.contains(column) => push_number(out, column, &value),
            Some((_, column)) => push(out, column, &value),
            None => {
                additional.push(';');
                additional.push_str(key);
                additional.push('=');
                additional.push_str(&value);
            }
        }
    }
    push(out, "AdditionalExtensions", &additional);
    out.push(b'}');
}

/// The columns of the keys that the events have. Other keys go to AdditionalExtensions.
const COLUMNS: &[(&str, &str)] = &[
    ("rt", "ReceiptTime"),
    ("dst", "DestinationIP"),
    ("dhost", "DestinationHostName"),
    ("dmac", "DestinationMACAddress"),
    ("dpt", "DestinationPort"),
    ("proto", "Protocol"),
    ("cat", "DeviceEventCategory"),
    ("msg", "Message"),
    ("outcome", "EventOutcome"),
    ("externalId", "ExternalID"),
    ("dvchost", "DeviceName"),
    ("dvc", "DeviceAddress"),
    ("deviceExternalId", "DeviceExternalID"),
    ("deviceFacility", "DeviceFacility"),
    ("deviceProcessName", "ProcessName"),
    ("c6a1", "DeviceCustomIPv6Address1"),
    ("c6a1Label", "DeviceCustomIPv6Address1Label"),
    ("filePath", "FilePath"),
    ("oldFilePath", "OldFilePath"),
    ("c6a3", "DeviceCustomIPv6Address3"),
    ("c6a3Label", "DeviceCustomIPv6Address3Label"),
    ("cs1", "DeviceCustomString1"),
    ("cs1Label", "DeviceCustomString1Label"),
    ("cs2", "DeviceCustomString2"),
    ("cs2Label", "DeviceCustomString2Label"),
    ("cs3", "DeviceCustomString3"),
    ("cs3Label", "DeviceCustomString3Label"),
    ("cs4", "DeviceCustomString4"),
    ("cs4Label", "DeviceCustomString4Label"),
    ("cs5", "DeviceCustomString5"),
    ("cs5Label", "DeviceCustomString5Label"),
    ("cs6", "DeviceCustomString6"),
    ("cs6Label", "DeviceCustomString6Label"),
    ("cn1", "DeviceCustomNumber1"),
    ("cn1Label", "DeviceCustomNumber1Label"),
    ("cn2", "DeviceCustomNumber2"),
    ("cn2Label", "DeviceCustomNumber2Label"),
    ("cn3", "DeviceCustomNumber3"),
    ("cn3Label", "DeviceCustomNumber3Label"),
    ("cfp1", "DeviceCustomFloatingPoint1"),
    ("cfp1Label", "DeviceCustomFloatingPoint1Label"),
    ("cfp2", "DeviceCustomFloatingPoint2"),
    ("cfp2Label", "DeviceCustomFloatingPoint2Label"),
    ("cfp3", "DeviceCustomFloatingPoint3"),
    ("cfp3Label", "DeviceCustomFloatingPoint3Label"),
    ("flexString1", "FlexString1"),
    ("flexString1Label", "FlexString1Label"),
    ("flexString2", "FlexString2"),
    ("flexString2Label", "FlexString2Label"),
    ("deviceCustomDate1", "DeviceCustomDate1"),
    ("deviceCustomDate1Label", "DeviceCustomDate1Label"),
    ("deviceCustomDate2", "DeviceCustomDate2"),
    ("deviceCustomDate2Label", "DeviceCustomDate2Label"),
];

const NUMBERS: [&str; 7] = [
    "DestinationPort",
    "DeviceCustomNumber1",
    "DeviceCustomNumber2",
    "DeviceCustomNumber3",
    "DeviceCustomFloatingPoint1",
    "DeviceCustomFloatingPoint2",
    "DeviceCustomFloatingPoint3",
];

fn push(out: &mut Vec<u8>, column: &str, value: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(column.as_bytes());
    out.extend_from_slice(b"\":");
    push_text(out, value);
}

fn push_number(out: &mut Vec<u8>, column: &str, value: &str) {
    match value.parse::<serde_json::Number>() {
        Ok(number) => out.extend_from_slice(format!(",\"{column}\":{number}").as_bytes()),
        Err(_) => push(out, column, value),
    }
}

/// The header fields, and the extension.
fn split(event: &str) -> (Vec<&str>, &str) {
    let (mut fields, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, byte) in event.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'|' => {
                fields.push(&event[start..at]);
                start = at + 1;
                if fields.len() == 7 {
                    break;
                }
            }
            _ => {}
        }
    }
    (fields, &event[start..])
}

/// The keys and values of an extension. An equals sign that is not escaped is always one after a key.
fn pairs(extension: &str) -> Vec<(&str, String)> {
    let (mut starts, mut escaped) = (Vec::new(), false);
    for (at, byte) in extension.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'=' => starts.push((extension[..at].rfind(' ').map_or(0, |space| space + 1), at)),
            _ => {}
        }
    }
    let ends = starts.iter().skip(1).map(|(key, _)| key.saturating_sub(1)).chain([extension.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|((key, equals), end)| {
            (&extension[*key..*equals], unescaped(&extension[equals + 1..end.max(equals + 1)]))
        })
        .collect()
}

fn unescaped(text: &str) -> String {
    let (mut plain, mut chars) = (String::with_capacity(text.len()), text.chars());
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next() {
                Some('n') => plain.push('\n'),
                Some('r') => plain.push('\r'),
                Some(other) => plain.push(other),
                None => {}
            },
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn keys_become_columns_and_the_rest_is_additional() {
        let event = r"CEF:0|Qualys|Qualys \| X|unknown|Qualys:VULN:1|a \\ b|8|rt=1 dst=192.0.2.1 dpt=443 cs1Label=Result cs1=a\=b c\nd cfp3Label=EPSS cfp3=0.5 ScanbridgeEventId=abc QualysKey=x y deviceExternalId=emea deviceProcessName=scanbridge";
        let mut out = b"{\"TimeGenerated\":\"t\"".to_vec();
        append(&mut out, event, "id1");
        let row: Value = serde_json::from_slice(&out).unwrap();
        for (column, value) in [
            ("DeviceVendor", Value::from("Qualys")),
            ("DeviceProduct", "Qualys | X".into()),
            ("DeviceEventClassID", "Qualys:VULN:1".into()),
            ("Activity", r"a \ b".into()),
            ("LogSeverity", "8".into()),
            ("DestinationIP", "192.0.2.1".into()),
            ("DestinationPort", 443.into()),
            ("DeviceCustomString1Label", "Result".into()),
            ("DeviceCustomString1", "a=b c\nd".into()),
            ("DeviceCustomFloatingPoint3", 0.5.into()),
            ("DeviceExternalID", "emea".into()),
            ("ProcessName", "scanbridge".into()),
            ("AdditionalExtensions", "RecordId=id1;ScanbridgeEventId=abc;QualysKey=x y".into()),
        ] {
            assert_eq!(row[column], value, "{column}");
        }
    }
}
