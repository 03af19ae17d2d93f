//! Encrypted fields: nothing of them shows in clear, the settings are frozen, and there is a way back.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::sandbox::{Outcome, Sandbox, pipeline};

const SECRET: &str = "5ec4e7f00d5ec4e7f00d5ec4e7f00d11";

/// The same settings in all outputs, with these more.
fn encrypt(more: &str) -> String {
    format!("encrypt: {{ identity: soc, secret: \"${{file:secret}}\", {more} }}")
}

/// A sandbox with a secret.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    write_secret(&sandbox, "secret", SECRET);
    sandbox
}

fn write_secret(sandbox: &Sandbox, name: &str, secret: &str) {
    let path = sandbox.write(name, format!("{secret}\n"));
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn command(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    Outcome::of(sandbox.host_with_rogue(arguments).output().unwrap())
}

fn run(sandbox: &Sandbox, text: &str) -> Outcome {
    sandbox.write("pipeline.yaml", text);
    command(sandbox, &["run", "pipeline.yaml", "--no-progress", "--summary", "json"])
}

/// A pipeline whose input sets every field, with these outputs.
fn every_field(outputs: &[String]) -> String {
    let outputs: String = outputs.iter().map(|output| format!("  - {output}\n")).collect();
    format!(
        "version: 1\ninputs:\n  - {{ id: source, plugin: Rogue, with: {{ act: every-field }} }}\noutputs:\n{outputs}"
    )
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The fields that can be encrypted: the list in the manual.
fn selectable() -> Vec<String> {
    let manual = crate::installation::project_file("docs/field-encryption.md");
    let text = fs::read_to_string(manual).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let names = rows.filter_map(|row| row.split('`').next());
    names.filter(|name| name.contains('.') && !name.contains(' ')).map(str::to_owned).collect()
}

/// All texts of a value.
fn texts(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => drop(found.insert(text.clone())),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(parts) => parts.values().for_each(|part| texts(part, found)),
        _ => {}
    }
}

/// The clear values of these fields, from a run without encryption.
fn clear_values(fields: &[String]) -> BTreeSet<String> {
    let sandbox = sandbox();
    let lines = "{ id: lines, plugin: JSON, with: { path: clear.ndjson, assets: yes } }".to_owned();
    run(&sandbox, &every_field(&[lines])).expect_code(0);
    let lines = json_lines(&sandbox.read("clear.ndjson"));
    let mut values = BTreeSet::new();
    for field in fields {
        let (table, name) = field.split_once('.').unwrap();
        let value =
            lines.iter().find_map(|line| line[table].get(name)).unwrap_or_else(|| panic!("no {field}"));
        if field == "finding.facts" {
            let names = value.as_array().unwrap().iter().filter(|fact| fact["fact"] == "name");
            values.extend(names.map(|fact| fact["name"].as_str().unwrap().to_owned()));
        } else {
            texts(value, &mut values);
        }
    }
    // Parts of texts, which a test for whole values would not find.
    values.extend(["leak-", "LEAK", "198.51.100."].map(str::to_owned));
    values
}

/// Every file below the directory, as text.
fn files(folder: &std::path::Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            found.push((path.display().to_string(), text));
        }
    }
}

/// Addresses without findings, which the end of a report names, reach an output encrypted, and nothing of them is in clear in
/// its dead letters.
#[test]
fn clean_assets_reach_an_output_encrypted() {
    let output = |encrypt: &str| {
        format!("{{ id: own, plugin: Rogue, {encrypt} with: {{ act: log-clean-assets, log: own.log }} }}")
    };
    let clean = |sandbox: &Sandbox| -> Vec<String> {
        let log = sandbox.read("own.log");
        log.lines().filter_map(|line| line.strip_prefix("clean ")).map(str::to_owned).collect()
    };
    let plain = sandbox();
    run(&plain, &every_field(&[output("")])).expect_code(0);
    assert_eq!(clean(&plain), ["198.51.100.90-198.51.100.91"]);

    let sandbox = sandbox();
    let encrypted = format!("{},", encrypt("fields: [asset.address, finding.result]"));
    let outputs = [
        output(&encrypted),
        format!("{{ id: bad, plugin: Rogue, {encrypted} with: {{ act: reject-all }} }}"),
    ];
    run(&sandbox, &every_field(&outputs)).expect_code(65);
    let addresses = clean(&sandbox);
    assert_eq!(addresses.len(), 2, "one by one: {addresses:?}");
    let arguments = ["decrypt", "pipeline.yaml", "--output", "own", "--format", "address"];
    let arguments: Vec<&str> = arguments.into_iter().chain(addresses.iter().map(String::as_str)).collect();
    let decrypted = command(&sandbox, &arguments).expect_code(0).stdout;
    let mut decrypted: Vec<&str> = decrypted.lines().collect();
    decrypted.sort_unstable();
    assert_eq!(decrypted, ["198.51.100.90", "198.51.100.91"]);

    let letters =
        command(&sandbox, &["dead-letters", "show", "pipeline.yaml", "--format", "json"]).expect_code(0);
    assert!(!letters.stdout.is_empty() && !letters.stdout.contains("198.51.100.9"), "{}", letters.stdout);
    let mut all = Vec::new();
    files(&sandbox.path("state"), &mut all);
    for (name, text) in &all {
        assert!(!text.contains("198.51.100.9"), "{name} contains an address");
    }
}

/// What is kept to compare runs has a key: the hash of a known address cannot be computed without the secret.
#[test]
fn hashes_of_the_comparison_have_a_key() {
    let sandbox = sandbox();
    let lines = |encrypt: &str| {
        every_field(&[format!("{{ id: lines, plugin: JSON, {encrypt} with: {{ path: lines.ndjson }} }}")])
    };
    let file = || fs::read(sandbox.path("state/pipeline/compare.bin")).unwrap();
    let compared = |outcome: &Outcome| outcome.summary()["compared"]["against_run"].as_u64();
    assert_eq!(compared(&run(&sandbox, &lines("")).expect_code(0)), None);
    assert!(compared(&run(&sandbox, &lines("")).expect_code(0)).is_some());
    let clear = file();
    // Pairs of hashes, after the header without a key.
    let hashes: BTreeSet<&[u8]> = clear[16..clear.len() - 8].chunks(8).collect();

    let text = lines(&format!("{},", encrypt("fields: [asset.address]")));
    let first = run(&sandbox, &text).expect_code(0);
    assert_eq!(compared(&first), None);
    assert!(first.stderr.contains("had hashes without a key and is removed"), "{}", first.stderr);
    let keyed = file();
    let is_shared = keyed[24..keyed.len() - 8].chunks(16).any(|pair| hashes.contains(&pair[..8]));
    assert!(!is_shared, "no asset has the hash that it had without a key");
    assert!(compared(&run(&sandbox, &text).expect_code(0)).is_some());

    command(&sandbox, &["state", "forget-encryption", "pipeline.yaml", "--output", "lines", "--yes"])
        .expect_code(0);
    write_secret(&sandbox, "secret", "an0theran0therAN0THER");
    let changed = run(&sandbox, &text).expect_code(0);
    assert_eq!(compared(&changed), None);
    assert!(changed.stderr.contains("the key of `encrypt` was changed"), "{}", changed.stderr);
    assert!(compared(&run(&sandbox, &text).expect_code(0)).is_some());
}

/// With every field encrypted, no value shows in an output, its state, a dead letter, the log, the summary, the metrics, the
/// report of the run. The log of the input and the host's own state may have title and path of the report.
#[test]
fn no_encrypted_field_shows_in_clear_anywhere() {
    let fields = selectable();
    assert!(fields.len() > 60, "{fields:?}");
    let clear = clear_values(&fields);
    let sandbox = sandbox();
    let encrypt = encrypt(&format!("fields: [{}]", fields.join(", ")));
    let columns: Vec<&String> = fields.iter().filter(|field| !field.starts_with("report.scanner")).collect();
    let columns = columns.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let outputs = [
        format!("{{ id: lines, plugin: JSON, {encrypt}, with: {{ path: lines.ndjson, assets: yes }} }}"),
        format!("{{ id: ecs, plugin: JSON, {encrypt}, with: {{ path: lines.ecs, format: ecs }} }}"),
        format!(
            "{{ id: sheet, plugin: CSV, {encrypt}, with: {{ path: 'sheet-{{report}}.csv', columns: [{columns}, report.encryption] }} }}"
        ),
        format!(
            "{{ id: siem, plugin: ArcSightCEF, {encrypt}, with: {{ path: siem.cef, additional_fields: [{columns}] }} }}"
        ),
        format!("{{ id: bad, plugin: Rogue, {encrypt}, with: {{ act: reject-all, log: bad.log }} }}"),
    ];
    sandbox.write("pipeline.yaml", every_field(&outputs));
    let arguments =
        ["run", "pipeline.yaml", "--no-progress", "--summary", "json", "--report", "run.html", "-v"];
    let outcome =
        command(&sandbox, &[&arguments[..], &["--metrics-file", "metrics.prom"]].concat()).expect_code(65);
    let letters =
        command(&sandbox, &["dead-letters", "show", "pipeline.yaml", "--format", "json"]).expect_code(0);
    // All findings of the input have one identity.
    assert_eq!(letters.stdout.lines().count(), 1, "{}", letters.stdout);
    assert!(
        json_lines(&letters.stdout).iter().all(|letter| letter["encryption"] == "soc/1"),
        "{}",
        letters.stdout
    );

    let mut all =
        vec![("summary".to_owned(), outcome.stdout.clone()), ("dead letters".to_owned(), letters.stdout)];
    let of_report = |line: &&str| line.contains("leak-report-path") || line.contains("Leak report title");
    let log: String =
        outcome.stderr.lines().filter(|line| !of_report(line)).map(|line| format!("{line}\n")).collect();
    all.push(("log".to_owned(), log));
    files(&sandbox.path(""), &mut all);
    let is_hosts_own = |name: &str| name.ends_with("ledger.redb") || name.ends_with("secret");
    for (name, text) in &all {
        // The host knows which report it has read; and what it shows of it is the same as without encryption.
        let text = text.replace("in/leak-report-path-4711.xml", "").replace("Leak report title 4711", "");
        for value in clear.iter().filter(|_| !is_hosts_own(name)) {
            let at = text.find(value.as_str());
            assert_eq!(
                at,
                None,
                "{name} contains {value}: {}",
                &text[at.unwrap_or_default()..].chars().take(200).collect::<String>()
            );
        }
        assert!(!text.contains(SECRET) || is_hosts_own(name), "{name} contains the secret");
    }
    // In the ledger, too, the findings are encrypted.
    let ledger =
        String::from_utf8_lossy(&fs::read(sandbox.path("state/pipeline/ledger.redb")).unwrap()).into_owned();
    let ledger = ledger.replace("leak-report-path-4711", "").replace("Leak report title 4711", "");
    for value in
        ["198.51.100.77", "leak-", "LEAKNETBIOS", "Leak asset owner", "Leak finding result 4711", SECRET]
    {
        assert!(!ledger.contains(value), "the ledger contains {value}");
    }
    // What is encrypted is there: names, addresses and the key.
    let line = &json_lines(&sandbox.read("lines.ndjson"))[1];
    assert!(line["asset"]["address"].as_str().unwrap().parse::<std::net::Ipv4Addr>().is_ok(), "{line:#}");
    assert_eq!(line["report"]["encryption"], "soc/1");
    assert!(sandbox.read("siem.cef").lines().all(|line| line.contains(" ad.ScanbridgeEncryption=soc/1")));
    let sheet = sandbox.names().into_iter().find(|name| name.starts_with("sheet-")).unwrap();
    assert!(sandbox.read(&sheet).contains("soc/1"));
    let summary = outcome.summary();
    assert!(summary["outputs"][0]["encrypted"].as_u64().unwrap() > 500, "{summary:#}");
    // No value of this input is too short.
    assert_eq!(summary["outputs"][0].get("tokens"), None, "{summary:#}");
}

#[test]
fn preview_and_dry_run_show_what_the_destination_gets() {
    let sandbox = sandbox();
    let scan = format!("path: {:?}", crate::installation::project_file("examples/reports/scan.xml"));
    let encrypt = encrypt("fields: recommended");
    let outputs = [
        format!("{{ id: lines, plugin: JSON, {encrypt}, with: {{ path: lines }} }}"),
        format!("{{ id: siem, plugin: ArcSightCEF, {encrypt}, with: {{ path: siem }} }}"),
        format!("{{ id: sheet, plugin: CSV, {encrypt}, with: {{ path: sheet }} }}"),
    ];
    let text = pipeline(&scan, &outputs.each_ref().map(String::as_str));
    sandbox.write("pipeline.yaml", text);
    let preview = command(&sandbox, &["preview", "pipeline.yaml", "-n", "16", "--format", "json"])
        .expect_code(0)
        .stdout;
    for value in ["192.0.2.", "shop.example", "SHOP", "B\u{dc}RO", "2001:db8", "printer.example", "scan.xml"]
    {
        assert!(!preview.contains(value), "{value}: {preview}");
    }
    let dry = command(&sandbox, &["run", "pipeline.yaml", "--dry-run", "--summary", "json"])
        .expect_code(0)
        .summary();
    assert!(dry["outputs"][0]["encrypted"].as_u64() > Some(0), "{dry:#}");
    // Nothing was delivered, so nothing is frozen.
    assert!(!sandbox.path("state").join("pipeline/ledger.redb").exists());
}

fn lines_of(more: &str) -> String {
    format!("{{ id: lines, plugin: JSON, {}, with: {{ path: lines.ndjson }} }}", encrypt(more))
}

/// The records of a run are decrypted to those of a run without encryption.
#[test]
fn json_lines_come_back_in_clear() {
    let (clear, encrypted) = (sandbox(), sandbox());
    let scan = format!("path: {:?}", crate::installation::project_file("examples/reports/scan.xml"));
    clear
        .run(&pipeline(&scan, &["{ id: lines, plugin: JSON, with: { path: lines.ndjson } }"]))
        .expect_code(0);
    let more = "fields: recommended, formats: { finding.result: mentions }";
    encrypted.run(&pipeline(&scan, &[&lines_of(more)])).expect_code(0);
    let decrypt = encrypted
        .host(&["decrypt", "pipeline.yaml", "--output", "lines", "--json", "--state-dir", "state"])
        .stdin(fs::File::open(encrypted.path("lines.ndjson")).unwrap())
        .output()
        .unwrap();
    let decrypted = Outcome::of(decrypt).expect_code(0);
    assert!(decrypted.stderr.contains("audit: "), "{}", decrypted.stderr);
    let (clear, decrypted) = (json_lines(&clear.read("lines.ndjson")), json_lines(&decrypted.stdout));
    assert_eq!(clear.len(), decrypted.len());
    let mut compared = 0;
    for (mut clear, mut decrypted) in clear.into_iter().zip(decrypted) {
        assert_eq!(decrypted["report"].as_object_mut().unwrap().remove("encryption"), Some(json!("soc/1")));
        for pointer in ["/asset/netbios", "/asset/dns", "/finding/facts", "/finding/result"] {
            let (Some(clear), Some(decrypted)) = (clear.pointer_mut(pointer), decrypted.pointer_mut(pointer))
            else {
                continue;
            };
            // A value outside its format, such as a name with an umlaut, is a token.
            if decrypted.to_string().contains("token (one-way)") || decrypted.to_string().contains("tk--") {
                *clear = decrypted.clone();
            }
            let lower = |value: &Value| value.to_string().to_lowercase();
            assert_eq!(lower(clear), lower(decrypted), "{pointer}");
            *clear = decrypted.clone();
            compared += 1;
        }
        assert_eq!(clear, decrypted);
    }
    assert!(compared > 20, "{compared}");
}

#[test]
fn values_and_cef_lines_are_decrypted() {
    let sandbox = sandbox();
    let siem = format!(
        "{{ id: siem, plugin: ArcSightCEF, filter: {{ ip_ranges: [\"2001:db8::/32\"] }}, {}, with: {{ path: siem.cef }} }}",
        encrypt("fields: [asset.address, asset.ipv6, asset.dns]")
    );
    let scan = format!("path: {:?}", crate::installation::project_file("examples/reports/scan.xml"));
    sandbox.run(&pipeline(&scan, &[&siem])).expect_code(0);
    let text = sandbox.read("siem.cef");
    assert!(!text.contains("2001:db8::30") && !text.contains("printer.example.com"), "{text}");
    let decrypt = |more: &[&str], input: &str| {
        sandbox.write("input", input);
        let arguments =
            [&["decrypt", "pipeline.yaml", "--state-dir", "state", "--output", "siem"], more].concat();
        let mut host = sandbox.host(&arguments);
        Outcome::of(host.stdin(fs::File::open(sandbox.path("input")).unwrap()).output().unwrap())
    };
    let clear = decrypt(&["--map", "c6a3=address,dhost=name"], &text).expect_code(0);
    assert!(
        clear.stdout.contains(" c6a3=2001:db8::30 ") && clear.stdout.contains("dhost=printer.example.com"),
        "{}",
        clear.stdout
    );
    let address = text.split(" c6a3=").nth(1).unwrap().split(' ').next().unwrap();
    assert_eq!(decrypt(&["--format", "address", address], "").expect_code(0).stdout, "2001:db8::30\n");
    assert_eq!(
        decrypt(&["--format", "name", "tk--abcdefghijk"], "").expect_code(0).stdout,
        "token (one-way)\n"
    );
    let wrong = decrypt(&["--format", "address", "s3cret-value", address], "").expect_code(65);
    assert_eq!(wrong.stdout, "2001:db8::30\n");
    assert!(
        wrong.stderr.contains("line 1: value: not an encrypted value of the format `address`"),
        "{}",
        wrong.stderr
    );
    assert!(!wrong.stderr.contains("s3cret-value"), "{}", wrong.stderr);
    let other =
        command(&sandbox, &["decrypt", "pipeline.yaml", "--output", "sheet", "--json"]).expect_code(64);
    assert!(
        other.stderr.contains("no output `sheet` with `encrypt`; those that have: siem"),
        "{}",
        other.stderr
    );
    write_secret(&sandbox, "secret", "another secret of more than 16 bytes");
    let key = decrypt(&["--format", "address", address], "").expect_code(78);
    assert!(
        key.stderr.contains("was encrypted with soc/1, and the key of the file (soc/1) is another one"),
        "{}",
        key.stderr
    );
}

#[test]
fn encryption_is_frozen_after_the_first_delivery() {
    let sandbox = sandbox();
    let with = |more: &str| every_field(&[lines_of(more)]);
    let first = with("fields: [asset.address, asset.dns]");
    run(&sandbox, &first).expect_code(0);
    let kept = sandbox.read("lines.ndjson");
    run(&sandbox, &first).expect_code(0);
    assert_eq!(sandbox.read("lines.ndjson"), kept, "two runs encrypt alike");
    let refused = |text: &str, why: &str| {
        let outcome = run(&sandbox, text).expect_code(78);
        assert!(
            outcome.stderr.contains("was encrypted with soc/1 over 2 fields") && outcome.stderr.contains(why),
            "{}",
            outcome.stderr
        );
        assert_eq!(sandbox.read("lines.ndjson"), kept);
    };
    refused(&with("fields: [asset.address]"), "the file has another value of `fields`");
    refused(&with("fields: [asset.address, asset.dns], version: 2"), "`version`");
    refused(&with("fields: [asset.address, asset.dns], tweak: x"), "`tweak`");
    refused(&with("fields: [asset.address, asset.dns], short_values: refuse"), "`short_values`");
    let optional = "{ id: lines, plugin: JSON, required: no, with: { path: lines.ndjson } }".to_owned();
    refused(&every_field(std::slice::from_ref(&optional)), "the file has no `encrypt` for it");
    write_secret(&sandbox, "secret", "another secret of more than 16 bytes");
    refused(&first, "`secret`");
    // A reset of the state keeps the settings.
    command(&sandbox, &["state", "reset", "pipeline.yaml"]).expect_code(0);
    refused(&first, "`secret`");
    let forget = ["state", "forget-encryption", "pipeline.yaml", "--output", "lines"];
    command(&sandbox, &forget).expect_code(64);
    let forgotten = command(&sandbox, &[&forget[..], &["--yes"]].concat()).expect_code(0);
    assert!(forgotten.stderr.contains("audit: "), "{}", forgotten.stderr);
    run(&sandbox, &every_field(&[optional])).expect_code(0);
    assert!(sandbox.read("lines.ndjson").contains("198.51.100.77"));
}

#[test]
fn outputs_with_one_key_agree_and_a_tweak_separates_them() {
    let sandbox = sandbox();
    let output = |id: &str, more: &str| {
        format!(
            "{{ id: {id}, plugin: JSON, {}, with: {{ path: {id} }} }}",
            encrypt(&format!("fields: [asset.dns], {more}"))
        )
    };
    run(&sandbox, &every_field(&[output("one", ""), output("two", ""), output("other", "tweak: other")]))
        .expect_code(0);
    let names = ["one", "two", "other"].map(|id| json_lines(&sandbox.read(id))[0]["asset"]["dns"].clone());
    assert_eq!(names[0], names[1]);
    assert_ne!(names[0], names[2]);
}

#[test]
fn dead_letters_are_encrypted_and_replayed_as_they_are() {
    let sandbox = sandbox();
    let with = |act: &str, more: &str| {
        let encrypt = encrypt(&format!("fields: [asset.address, report.path], {more}"));
        every_field(&[format!(
            "{{ id: bad, plugin: Rogue, {encrypt}, with: {{ act: {act}, log: bad.log }} }}"
        )])
    };
    run(&sandbox, &with("reject-all", "")).expect_code(65);
    let letters =
        command(&sandbox, &["dead-letters", "show", "pipeline.yaml", "--format", "json"]).expect_code(0);
    let letter: Value = json_lines(&letters.stdout).remove(0);
    let address = letter["record"]["asset"]["address"].as_str().unwrap().to_owned();
    assert_eq!(letter["encryption"], "soc/1");
    assert!(address != "198.51.100.77" && !letters.stdout.contains("leak-report-path"), "{letter:#}");
    let replay = |text: &str| {
        sandbox.write("pipeline.yaml", text);
        command(&sandbox, &["dead-letters", "replay", "pipeline.yaml"])
    };
    let refused = replay(&with("behave", "version: 2")).expect_code(78);
    let shown = refused.stdout + &refused.stderr;
    assert!(
        shown.contains("at least one is encrypted with soc/1, and the output is encrypted with soc/2"),
        "{shown}"
    );
    replay(&with("behave", "")).expect_code(0);
    let log = sandbox.read("bad.log");
    assert!(log.lines().any(|line| line == address), "{log}\n{address}");
    assert!(!log.contains("leak"), "{log}");
}

#[test]
fn short_values_become_tokens_or_are_refused() {
    let sandbox = sandbox();
    let scan = format!("path: {:?}", crate::installation::project_file("examples/reports/scan.xml"));
    // One asset of the report is named `BÜRO-20`.
    let output =
        |more: &str| format!("{{ id: lines, plugin: JSON, {}, with: {{ path: lines }} }}", encrypt(more));
    let tokens =
        sandbox.run(&pipeline(&scan, &[&output("fields: [asset.netbios]")])).expect_code(0).summary();
    assert!(tokens["outputs"][0]["tokens"].as_u64() >= Some(1), "{tokens:#}");
    let names = |text: &str| -> BTreeSet<String> {
        json_lines(text)
            .iter()
            .map(|line| line["asset"]["netbios"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let all = names(&sandbox.read("lines"));
    assert!(
        all.iter().any(|name| name.starts_with("tk--")) && !all.contains("BÜRO-20") && !all.contains("SHOP"),
        "{all:?}"
    );
    let other = self::sandbox();
    let text = pipeline(&scan, &[&output("fields: [asset.netbios], short_values: refuse")]);
    let refused = other.run(&text).expect_code(65).summary();
    assert!(refused["outputs"][0]["rejected"].as_u64() >= Some(1), "{refused:#}");
    assert!(names(&other.read("lines")).iter().all(|name| !name.starts_with("tk--")));
    let show = ["dead-letters", "show", "pipeline.yaml", "--state-dir", "state", "--format", "json"];
    let letters = Outcome::of(other.host(&show).output().unwrap()).expect_code(0).stdout;
    for letter in json_lines(&letters) {
        assert!(letter["reason"].as_str().unwrap().contains("`short_values: refuse`"), "{letter:#}");
        assert!(letter["record"]["asset"]["netbios"].as_str().unwrap().starts_with("tk--"), "{letter:#}");
    }
}

/// The message of a configuration that is refused.
fn refused(output: &str) -> String {
    let sandbox = sandbox();
    write_secret(&sandbox, "short", "fifteen bytes..");
    sandbox.write("pipeline.yaml", every_field(&[output.to_owned()]));
    command(&sandbox, &["check", "pipeline.yaml"]).expect_code(78).stderr
}

#[test]
fn wrong_settings_are_reported_by_check() {
    let with = |encrypt: &str| {
        refused(&format!("{{ id: siem, plugin: JSON, encrypt: {{ {encrypt} }}, with: {{ path: x }} }}"))
    };
    let secret = "identity: soc, secret: \"${file:secret}\"";
    for (field, why) in [
        ("finding.port", "it has fewer than a million values"),
        ("asset.last_scan", "order and age of findings would be lost"),
        ("definition.title", "it is part of the public knowledge base"),
        ("report.id", "outputs recognize a report by its ID"),
        ("asset.adress", "did you mean `asset.address`?"),
    ] {
        let message = with(&format!("{secret}, fields: [{field}]"));
        assert!(message.contains(why) && message.contains(field), "{message}");
    }
    let literal = with("identity: soc, fields: recommended, secret: s3cret-s3cret-s3cret");
    assert!(
        literal.contains("`encrypt.secret` must be a reference") && !literal.contains("s3cret-s"),
        "{literal}"
    );
    assert!(
        with("identity: soc, fields: recommended, secret: \"${file:short}\"").contains("fewer than 16 bytes")
    );
    assert!(with("identity: soc, fields: recommended").contains("`encrypt` has no `secret`"));
    assert!(with(&format!("{secret}, secret_command: [x], fields: recommended")).contains("both set"));
    assert!(with(&secret.replace("identity: soc, ", "fields: recommended, ")).contains("no `identity`"));
    assert!(with(secret).contains("`encrypt` has no `fields`"));
    let formats = |formats: &str| {
        with(&format!("{secret}, fields: [finding.result, finding.facts], formats: {{ {formats} }}"))
    };
    assert!(formats("finding.result: mention").contains("did you mean `mentions`?"));
    assert!(formats("asset.dns: text").contains("is not one of `encrypt.fields`"));
    assert!(formats("finding.facts: text").contains("has parts with formats of their own"));
    for plugin in [
        "CSV, with: { path: x, format: host-input }",
        "Sourcefire, with: { address: 192.0.2.1, password: x }",
    ] {
        let message = refused(&format!("{{ id: dc, plugin: {plugin}, {} }}", encrypt("fields: [asset.dns]")));
        assert!(
            message.contains("add hosts to the Defense Center that do not exist")
                || plugin.starts_with("Source"),
            "{message}"
        );
    }
}

#[test]
fn many_fields_are_a_warning_and_the_effects_are_shown() {
    let sandbox = sandbox();
    let check = |fields: &[String]| {
        let output = lines_of(&format!("fields: [{}]", fields.join(", ")));
        sandbox.write("pipeline.yaml", every_field(&[output]));
        command(&sandbox, &["check", "pipeline.yaml"]).expect_code(0)
    };
    let fields = selectable();
    let twenty = check(&fields[..20]);
    assert!(!twenty.stderr.contains("warning"), "{}", twenty.stderr);
    assert!(
        twenty
            .stdout
            .contains("lines: field encryption: FF1 (SP 800-38G), AES-256; key soc/1; fields: asset."),
        "{}",
        twenty.stdout
    );
    assert!(twenty.stdout.contains("see other values"), "{}", twenty.stdout);
    let more = check(&fields[..21]);
    assert!(more.stderr.contains("`encrypt.fields` has 21 fields; more than 20"), "{}", more.stderr);
    let shown = command(&sandbox, &["config", "show", "pipeline.yaml"]).expect_code(0).stdout;
    assert!(shown.contains("[redacted]") && !shown.contains(SECRET), "{shown}");
    sandbox.write("pipeline.yaml", every_field(&[lines_of("fields: recommended")]));
    let shown =
        command(&sandbox, &["config", "show", "pipeline.yaml", "--format", "json"]).expect_code(0).stdout;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let list = shown["outputs"][0]["settings"]["encrypt.fields"]["value"].as_array().unwrap();
    assert_eq!((list.len(), &list[0]), (20, &json!("asset.address")));
}

#[test]
fn failover_needs_the_same_encryption() {
    let with = |other: &str| {
        let sandbox = sandbox();
        let first = format!(
            "{{ id: one, plugin: JSON, failover: two, {}, with: {{ path: one }} }}",
            encrypt("fields: [asset.dns]")
        );
        sandbox.write(
            "pipeline.yaml",
            every_field(&[first, format!("{{ id: two, plugin: JSON, {other} with: {{ path: two }} }}")]),
        );
        command(&sandbox, &["check", "pipeline.yaml"])
    };
    with(&format!("{},", encrypt("fields: [asset.dns]"))).expect_code(0);
    for other in [String::new(), format!("{},", encrypt("fields: [asset.address]"))] {
        let outcome = with(&other).expect_code(78);
        assert!(outcome.stderr.contains("`two` has not the same `encrypt` as `one`"), "{}", outcome.stderr);
    }
}

#[test]
fn secret_comes_from_a_command_or_a_new_file() {
    let sandbox = sandbox();
    let with = |secret: &str| {
        let encrypt = format!("encrypt: {{ identity: soc, fields: [asset.dns], {secret} }}");
        every_field(&[format!("{{ id: lines, plugin: JSON, {encrypt}, with: {{ path: lines }} }}")])
    };
    run(&sandbox, &with("secret: \"${file:secret}\"")).expect_code(0);
    // The same key.
    run(&sandbox, &with("secret_command: [cat, secret]")).expect_code(0);
    let failed =
        run(&sandbox, &with("secret_command: [sh, -c, 'echo s3cret-on-stderr >&2; exit 3']")).expect_code(78);
    assert!(
        failed.stderr.contains("has failed") && !failed.stderr.contains("s3cret-on"),
        "{}",
        failed.stderr
    );
    command(&sandbox, &["encrypt", "new-secret", "secret"]).expect_code(73);
    command(&sandbox, &["encrypt", "new-secret", "new"]).expect_code(0);
    assert_eq!(sandbox.read("new").trim_end().len(), 64);
}
