//! Keys of a pipeline for the service, bundles of accepted versions, and the service file.

mod config_catalogue;

use std::fs;
use std::path::Path;

use config_catalogue::FakeCatalogue;
use scanbridge::config::{self, Pipeline, Problems};
use scanbridge_observe::{
    BundleResult, ConsoleKeys, LogKeys, LogTarget, RestartKeys, Role, ScheduleKeys, ServiceFile, TlsKeys,
};

fn text(keys: &str) -> String {
    format!(
        "version: 1\n{keys}\ninputs: [{{ id: a, plugin: qualysguard, hang_secs: 900, with: {{ username: u, password: p }} }}]\n\
         outputs: [{{ id: b, plugin: csv, with: {{ path: out.csv }} }}]\n"
    )
}

fn check(keys: &str) -> Result<Pipeline, Problems> {
    config::check(&config::read_text(Path::new("p.yaml"), &text(keys))?, &FakeCatalogue::new())
}

fn cron(pattern: &str, timezone: Option<&str>, jitter_secs: u64, catch_up: bool) -> ScheduleKeys {
    ScheduleKeys::Cron {
        pattern: pattern.to_owned(),
        timezone: timezone.map(str::to_owned),
        jitter_secs,
        catch_up,
    }
}

#[test]
fn schedule_has_a_short_and_a_long_form() {
    for (keys, expected) in [
        ("", ScheduleKeys::Manual),
        ("schedule: manual", ScheduleKeys::Manual),
        ("schedule: continuous", ScheduleKeys::Continuous),
        (
            "schedule: { every_minutes: 60, jitter_secs: 30 }",
            ScheduleKeys::Every { minutes: 60, jitter_secs: 30 },
        ),
        ("schedule: { cron: 0 5 * * MON-FRI }", cron("0 5 * * MON-FRI", None, 0, true)),
        (
            "schedule: { cron: '@daily', timezone: Europe/Berlin, jitter_secs: 300, catch_up: no }",
            cron("@daily", Some("Europe/Berlin"), 300, false),
        ),
    ] {
        let pipeline = check(keys).unwrap_or_else(|problems| panic!("{keys}: {problems}"));
        assert_eq!(pipeline.service.schedule, expected, "{keys}");
    }
}

#[test]
fn restart_group_and_hang_limit_are_read() {
    let pipeline = check("restart: { initial_secs: 60, max_secs: 30 }\ngroup: qualys-emea").unwrap();
    assert_eq!(pipeline.service.restart, RestartKeys { initial_secs: 60, max_secs: 60, give_up_after: 0 });
    assert_eq!((pipeline.service.group.as_deref(), pipeline.service.hang_secs), (Some("qualys-emea"), 900));
}

#[test]
fn invalid_keys_for_the_service_are_reported_at_their_place() {
    for (keys, message) in [
        ("schedule: sometimes", "`schedule` must be one of"),
        ("schedule: [continuous]", "must be a mapping"),
        ("schedule: {}", "neither `cron` nor `every_minutes`"),
        ("schedule: { jitter_secs: 3 }", "neither `cron` nor `every_minutes`"),
        ("schedule: { cron: '0 5 * * *', every_minutes: 60 }", "exclude each other"),
        ("schedule: { every_minutes: 60, timezone: UTC }", "`timezone` requires `cron`"),
        ("schedule: { every_minutes: 60, catch_up: yes }", "`catch_up` requires `cron`"),
        ("schedule: { every_minutes: 0 }", "`schedule.every_minutes`"),
        ("schedule: { cron: '0/5 * * * *' }", "`*/5`"),
        ("schedule: { cron: '@reboot' }", "unsupported word"),
        ("schedule: { cron: '0 0 30 2 *' }", "no time in any year"),
        ("schedule: { cron: '0 5 * * *', timezone: Mars/Olympus }", "unknown time zone `Mars/Olympus`"),
        ("schedule: { cron: '0 5 * * *', jitter_sec: 5 }", "did you mean `jitter_secs`?"),
        ("restart: { give_up_after: -1 }", "`restart.give_up_after`"),
        ("group: a/b", "invalid group `a/b`"),
        ("shedule: continuous", "did you mean `schedule`?"),
    ] {
        let problems = check(keys).unwrap_err().to_string();
        assert!(problems.contains(message) && problems.contains("p.yaml:2:"), "{keys}: {problems}");
    }
}

#[test]
fn clock_change_that_skips_a_run_is_a_warning() {
    let pipeline = check("schedule: { cron: '*/15 2 * * *', timezone: Europe/Berlin }").unwrap();
    assert_eq!(pipeline.warnings.len(), 1, "{:?}", pipeline.warnings);
    assert!(pipeline.warnings[0].message.contains("the hour that the clock skips"));
}

#[test]
fn bundle_does_not_depend_on_the_files_that_it_was_made_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let pipeline = "version: 1\nname: nightly\nschedule: continuous\n\
                    inputs: [{ id: a, plugin: qualysguard, config: settings/qualys.yaml }]\n\
                    outputs: [{ id: b, plugin: csv, with: { path: out.csv } }]\n";
    fs::create_dir(path("settings")).unwrap();
    fs::write(path("p.yaml"), pipeline).unwrap();
    fs::write(path("settings/qualys.yaml"), "username: u\npassword: ${file:secret}\n").unwrap();
    fs::write(path("settings/secret"), "first").unwrap();
    let catalogue = FakeCatalogue::new();
    let only = || config::bundle(&path("p.yaml"), &catalogue).remove(0);
    let accept = || match only() {
        BundleResult::Accepted(bundle) => bundle,
        BundleResult::Rejected { problems, .. } => panic!("{problems:?}"),
    };
    let bundle = accept();
    assert_eq!((bundle.name.as_str(), &bundle.service.schedule), ("nightly", &ScheduleKeys::Continuous));
    assert_eq!(accept().digest, bundle.digest);
    let json = serde_json::to_string(&bundle).unwrap();
    assert!(!json.contains("first"), "references are resolved by each run");
    fs::write(path("bundle.json"), &json).unwrap();

    // Everything changes, but the bundle. Only the secret is read again.
    fs::write(path("p.yaml"), "half").unwrap();
    fs::write(path("settings/qualys.yaml"), "username: other\npassword: ${file:secret}\n").unwrap();
    fs::write(path("settings/secret"), "second").unwrap();
    let document = config::read_bundle(&path("bundle.json")).unwrap_or_else(|problems| panic!("{problems}"));
    let read = config::check(&document, &catalogue).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((read.name.as_str(), read.digest.as_str()), ("nightly", bundle.digest.as_str()));
    assert_eq!(read.inputs[0].instance.options["username"], "u");
    assert_eq!(read.inputs[0].instance.options["password"], "second");
    assert_eq!(read.file, path("p.yaml"));

    let BundleResult::Rejected { problems, .. } = only() else { panic!("an invalid file was accepted") };
    assert!(!problems.is_empty());
    fs::write(path("p.yaml"), pipeline).unwrap();
    assert_ne!(accept().digest, bundle.digest, "a settings file has changed");

    fs::write(path("p.yaml"), pipeline.replace("out.csv", "'-'")).unwrap();
    let BundleResult::Rejected { problems, .. } = only() else { panic!("findings would be lost") };
    assert!(problems[0]["message"].as_str().unwrap().contains("standard output"), "{problems:?}");
}

/// The service starts one run for each, with a saved state of its own. For the plugins they are the same pipeline.
#[test]
fn each_instance_of_a_pipeline_has_its_own_bundle_and_state() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.yaml");
    let pipeline = |instances: &str| {
        format!(
            "version: 1\nname: fetch\n{instances}inputs: [{{ id: a, plugin: qualysguard, with: {{ username: u, password: p }} }}]\n\
             outputs: [{{ id: b, plugin: csv, with: {{ path: out.csv }} }}]\n"
        )
    };
    let catalogue = FakeCatalogue::new();
    let names = |instances: &str| -> Vec<(String, Option<u32>, String, String)> {
        fs::write(&file, pipeline(instances)).unwrap();
        let bundles = config::bundle(&file, &catalogue).into_iter().map(|result| match result {
            BundleResult::Accepted(bundle) => bundle,
            BundleResult::Rejected { problems, .. } => panic!("{problems:?}"),
        });
        let json = folder.path().join("bundle.json");
        bundles
            .map(|bundle| {
                fs::write(&json, serde_json::to_string(&bundle).unwrap()).unwrap();
                let document = config::read_bundle(&json).unwrap_or_else(|problems| panic!("{problems}"));
                let read =
                    config::check(&document, &catalogue).unwrap_or_else(|problems| panic!("{problems}"));
                assert_eq!(document.state_name(), read.state_name());
                (bundle.name, bundle.instance, read.name.clone(), read.state_name())
            })
            .collect()
    };
    let entry = |name: &str, instance| (name.to_owned(), instance, "fetch".to_owned(), name.to_owned());
    assert_eq!(names(""), [entry("fetch", None)]);
    assert_eq!(names("instances: 1\n"), [entry("fetch", None)]);
    assert_eq!(names("instances: 2\n"), [entry("fetch.1", Some(1)), entry("fetch.2", Some(2))]);
    fs::write(&file, pipeline("instances: 2\n")).unwrap();
    let document = config::read(&file).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(document.state_name(), "fetch.1", "without a number, the first one");
    fs::write(&file, pipeline("instances: 17\n")).unwrap();
    assert!(matches!(config::bundle(&file, &catalogue)[0], BundleResult::Rejected { .. }));
}

#[test]
fn invalid_bundle_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bundle.json");
    for (text, message) in [
        ("{", "the bundle is invalid"),
        (
            "{\"format\":99,\"name\":\"\",\"pipeline\":{\"path\":\"\",\"text\":\"\"},\"settings\":[],\"digest\":\"\",\"service\":{\"schedule\":\"manual\",\"restart\":{\"initial_secs\":1,\"max_secs\":1,\"give_up_after\":0},\"group\":null,\"hang_secs\":1}}",
            "has format 99",
        ),
    ] {
        fs::write(&file, text).unwrap();
        let problems = config::read_bundle(&file).unwrap_err().to_string();
        assert!(problems.contains(message), "{problems}");
    }
    assert!(
        config::read_bundle(Path::new("absent.json")).unwrap_err().to_string().contains("cannot be read")
    );
}

#[test]
fn service_file_is_read_and_its_errors_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("service.yaml");
    let read = |text: &str| {
        fs::write(&file, text).unwrap();
        config::read_service_file(&file).map(|(settings, _)| settings)
    };
    let settings =
        read("service: 1\npipelines: [a, /b]\nmax_running: 2\ngroups: { g: 3 }\nlog: { level: debug }\n")
            .unwrap();
    assert_eq!(settings.pipelines, [folder.path().join("a").display().to_string(), "/b".to_owned()]);
    assert_eq!((settings.max_running, settings.groups["g"], settings.log.level.as_str()), (2, 3, "debug"));
    assert_eq!(read("service: 1\n").unwrap(), ServiceFile::default());
    let log =
        read("service: 1\nlog: { to: file, file: log/s.log, rotate_bytes: 1 MiB, keep: 0 }\n").unwrap().log;
    let file = folder.path().join("log/s.log").display().to_string();
    let level = "info".to_owned();
    assert_eq!(log, LogKeys { to: LogTarget::File, file, rotate_bytes: 1 << 20, keep: 0, level });
    assert_eq!(read("service: 1\nlog: { to: journal }\n").unwrap().log.to, LogTarget::Journal);
    for (text, message) in [
        ("max_running: 2\n", "`service` is missing"),
        ("service: 2\n", "`service` must be 1"),
        ("service: 1\nmax_runing: 2\n", "did you mean `max_running`?"),
        ("service: 1\nmax_running: 0\n", "a number from 1 to 1000"),
        ("service: 1\ngroups: [a]\n", "`groups` must be a mapping"),
        ("service: 1\ngroups: { a: many }\n", "`a` must be a number"),
        ("service: 1\nlog: { level: wrn }\n", "did you mean `warn`?"),
        ("service: 1\nlog: { to: journl }\n", "did you mean `journal`?"),
        ("service: 1\nlog: { form: json }\n", "unknown key `form`"),
        ("service: 1\nlog: { to: file }\n", "`to: file` requires `file`"),
        ("service: 1\nlog: { file: a }\n", "`file` requires `to: file`"),
        ("service: 1\nlog: { to: journal, keep: 3 }\n", "`keep` requires `to: file`"),
        ("service: 1\nlog: { to: file, file: a, rotate_bytes: big }\n", "`rotate_bytes` must be a size"),
        (
            "service: 1\nlog: { to: file, file: a, keep: 1001 }\n",
            "`keep` must be a whole number between 0 and 1000",
        ),
        ("service: [\n", "service.yaml:"),
    ] {
        let problems = read(text).unwrap_err().to_string();
        assert!(problems.contains(message), "{text}: {problems}");
    }
}

#[test]
fn console_is_read_and_its_errors_are_reported() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("service.yaml");
    let read = |console: &str| {
        fs::write(&file, format!("service: 1\nconsole: {console}\n")).unwrap();
        config::read_service_file(&file)
    };
    let (settings, warnings) = read("{}").unwrap();
    assert_eq!(settings.console.unwrap(), ConsoleKeys::default());
    assert!(warnings.list.is_empty());
    let key = folder.path().join("key.pem");
    fs::write(&key, "").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let (settings, warnings) = read(
        "{ listen: '0.0.0.0:9443', public_url: 'https://bridge.example.com:9001', anonymous_metrics: yes, \
         tls: { certificate: cert.pem, key: key.pem, client_ca: /ca.pem, client_required: yes }, \
         client_roles: [{ san: ops.example.com, role: operate }, { san: mailto:a@example.com, role: read }] }",
    )
    .unwrap();
    let console = settings.console.unwrap();
    let inside = |name: &str| Some(folder.path().join(name).display().to_string());
    let tls = TlsKeys {
        certificate: inside("cert.pem"),
        key: inside("key.pem"),
        client_ca: Some("/ca.pem".to_owned()),
        client_required: true,
    };
    assert_eq!(console.listen, "0.0.0.0:9443");
    assert_eq!(console.public_url.as_deref(), Some("https://bridge.example.com:9001"));
    assert_eq!(console.tls, Some(tls));
    assert!(console.anonymous_metrics);
    let roles: Vec<_> =
        console.client_roles.iter().map(|client| (client.san.as_str(), client.role)).collect();
    assert_eq!(roles, [("ops.example.com", Role::Operate), ("mailto:a@example.com", Role::Read)]);
    let warnings = warnings.to_string();
    assert!(
        warnings.contains("key.pem contains a secret and can be read by other users (mode 0644)"),
        "{warnings}"
    );

    for (console, message) in [
        ("{ listen: 9001 }", "`listen` must be an IP address and a port, found `9001`"),
        ("{ listen: 'localhost:9001' }", "`listen` must be an IP address and a port"),
        ("{ lisen: '127.0.0.1:9001' }", "did you mean `listen`?"),
        ("{ public_url: bridge }", "`public_url`"),
        ("{ public_url: 'https://bridge/path' }", "`public_url`"),
        ("{ tls: { key: k } }", "`key` requires `certificate`"),
        ("{ tls: { certificate: c } }", "`certificate` requires `key`"),
        ("{ tls: { client_required: yes } }", "`client_required: yes` requires `client_ca`"),
        ("{ client_roles: { san: a, role: read } }", "`client_roles` must be a list"),
        ("{ client_roles: [{ san: a, role: read }] }", "`client_roles` requires `tls.client_ca`"),
        ("{ tls: { client_ca: c }, client_roles: [{ role: read }] }", "`san` is missing"),
        ("{ tls: { client_ca: c }, client_roles: [{ san: a, role: raed }] }", "did you mean `read`?"),
        ("{ anonymous_metrics: perhaps }", "`anonymous_metrics`"),
    ] {
        let problems = read(console).unwrap_err().to_string();
        assert!(problems.contains(message), "{console}: {problems}");
    }
}
