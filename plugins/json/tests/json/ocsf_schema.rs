//! A validator of OCSF events, written from the published schema files alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// The schema in a directory with `dictionary.json`, `objects`, `events` and `profiles`.
pub(crate) struct OcsfSchema {
    folder: PathBuf,
    dictionary: Value,
    objects: BTreeMap<String, Map<String, Value>>,
    constraints: BTreeMap<String, Value>,
    class: Map<String, Value>,
    /// The numbers of the category and of the class.
    numbers: (u64, u64),
    profiles: BTreeMap<String, Map<String, Value>>,
    /// Paths of attributes that were seen.
    pub(crate) seen: BTreeSet<String>,
    /// Paths of attributes that are deprecated and were seen.
    pub(crate) deprecated: BTreeSet<String>,
}

fn read(path: &Path) -> Value {
    serde_json::from_str(
        &fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
    )
    .unwrap()
}

/// Adds the attributes of `more` under those that are there: an attribute of the nearer file wins, key by key.
fn merge(attributes: &mut Map<String, Value>, more: &Map<String, Value>) {
    for (name, value) in more.iter().filter(|(name, _)| !name.starts_with('$')) {
        let own = attributes.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
        let (Some(own), Some(value)) = (own.as_object_mut(), value.as_object()) else { continue };
        for (key, value) in value {
            match (own.get_mut(key).and_then(Value::as_object_mut), value.as_object()) {
                (Some(own), Some(value)) => add_missing(own, value),
                _ => {
                    own.entry(key.clone()).or_insert_with(|| value.clone());
                }
            }
        }
    }
}

fn add_missing(own: &mut Map<String, Value>, more: &Map<String, Value>) {
    for (key, value) in more {
        own.entry(key.clone()).or_insert_with(|| value.clone());
    }
}

impl OcsfSchema {
    pub(crate) fn read(folder: &Path) -> Self {
        let mut schema = Self {
            folder: folder.to_owned(),
            dictionary: read(&folder.join("dictionary.json")),
            objects: BTreeMap::new(),
            constraints: BTreeMap::new(),
            class: Map::new(),
            profiles: BTreeMap::new(),
            seen: BTreeSet::new(),
            deprecated: BTreeSet::new(),
            numbers: (0, 0),
        };
        // The numbers of the class: those of `base_event` are of an event without one.
        let class = read(&folder.join("events/findings/vulnerability_finding.json"));
        let categories = read(&folder.join("categories.json"));
        let category = categories["attributes"]["findings"]["uid"].as_u64().unwrap();
        schema.numbers = (category, category * 1000 + class["uid"].as_u64().unwrap());
        for file in ["findings/vulnerability_finding", "findings/finding", "base_event"] {
            let file = read(&folder.join(format!("events/{file}.json")));
            merge(&mut schema.class, file["attributes"].as_object().unwrap());
        }
        for name in ["cloud", "incident"] {
            let profile = read(&folder.join(format!("profiles/{name}.json")));
            schema.profiles.insert(name.to_owned(), profile["attributes"].as_object().unwrap().clone());
        }
        schema
    }

    /// The attributes of an object with those that it inherits.
    fn object(&mut self, name: &str) -> Map<String, Value> {
        if let Some(known) = self.objects.get(name) {
            return known.clone();
        }
        let file = read(&self.folder.join(format!("objects/{name}.json")));
        let mut attributes = Map::new();
        merge(&mut attributes, file["attributes"].as_object().unwrap());
        let mut constraints = file["constraints"].clone();
        if let Some(parent) = file["extends"].as_str().filter(|parent| *parent != "object") {
            let inherited = self.object(parent);
            merge(&mut attributes, &inherited);
            if constraints.is_null() {
                constraints = self.constraints[parent].clone();
            }
        }
        self.objects.insert(name.to_owned(), attributes.clone());
        self.constraints.insert(name.to_owned(), constraints);
        attributes
    }

    /// What is wrong with an event of the class Vulnerability Finding.
    pub(crate) fn faults(&mut self, event: &Value) -> Vec<String> {
        let mut attributes = self.class.clone();
        let named: BTreeSet<&str> = event["metadata"]["profiles"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        for name in &named {
            match self.profiles.get(*name) {
                Some(profile) => merge(&mut attributes, profile),
                None => return vec![format!("unknown profile {name}")],
            }
        }
        let mut faults = Vec::new();
        let (category, class_uid) = self.numbers;
        let type_uid = event["activity_id"].as_u64().map(|activity| class_uid * 100 + activity);
        for (name, number) in
            [("category_uid", Some(category)), ("class_uid", Some(class_uid)), ("type_uid", type_uid)]
        {
            if event[name].as_u64() != number {
                faults.push(format!("{name} must be {number:?}"));
            }
            if let Some(attribute) = attributes.get_mut(name).and_then(Value::as_object_mut) {
                attribute.remove("enum");
            }
        }
        self.check_object(event, &attributes, &Value::Null, (&named, ""), &mut faults);
        faults
    }

    fn check_object(
        &mut self,
        object: &Value,
        attributes: &Map<String, Value>,
        constraints: &Value,
        (profiles, at): (&BTreeSet<&str>, &str),
        faults: &mut Vec<String>,
    ) {
        let Some(object) = object.as_object() else {
            faults.push(format!("{at} is not an object"));
            return;
        };
        let has = |name: &Value| name.as_str().is_some_and(|name| object.contains_key(name));
        let count = |rule: &str| {
            constraints[rule].as_array().map(|names| names.iter().filter(|name| has(name)).count())
        };
        if count("at_least_one") == Some(0) || count("just_one").is_some_and(|count| count != 1) {
            faults.push(format!("{at} breaks {constraints}"));
        }
        for (name, attribute) in attributes {
            let of_profile = attribute["profile"].as_str().is_none_or(|profile| profiles.contains(profile));
            if attribute["requirement"] == "required" && of_profile && !object.contains_key(name) {
                faults.push(format!("{at}.{name} is required"));
            }
        }
        for (name, value) in object {
            let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
            let Some(attribute) = attributes.get(name) else {
                faults.push(format!("{path} is not in the schema"));
                continue;
            };
            if attribute["profile"].as_str().is_some_and(|profile| !profiles.contains(profile)) {
                faults.push(format!("{path} needs a profile"));
            }
            self.seen.insert(path.clone());
            if attribute.get("@deprecated").is_some() {
                self.deprecated.insert(path.clone());
            }
            if path == "unmapped" {
                continue;
            }
            let entry = self.dictionary["attributes"][name].clone();
            assert!(entry.is_object(), "the dictionary has no {name}");
            self.check_attribute(value, attribute, &entry, (profiles, &path), faults);
            // A number that has a text beside it: the text must be there for `Other`.
            if let Some(sibling) = entry["sibling"].as_str()
                && *value == 99
                && !object.contains_key(sibling)
            {
                faults.push(format!("{path} is 99 without {sibling}"));
            }
            if let Some(sibling) = entry["sibling"].as_str().and_then(|sibling| object.get(sibling)) {
                let caption =
                    |from: &Value| from["enum"][value.to_string()]["caption"].as_str().map(str::to_owned);
                let caption = caption(attribute).or_else(|| caption(&entry));
                if *value != 99 && caption.as_deref() != sibling.as_str() {
                    faults.push(format!("{path} is {value}, and its text is {sibling}, not {caption:?}"));
                }
            }
        }
    }

    fn check_attribute(
        &mut self,
        value: &Value,
        attribute: &Value,
        entry: &Value,
        (profiles, path): (&BTreeSet<&str>, &str),
        faults: &mut Vec<String>,
    ) {
        let is_array = entry["is_array"] == true;
        if is_array != value.is_array() {
            faults.push(format!("{path}: array expected {is_array}, found {value}"));
            return;
        }
        let items = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        if items.is_empty() {
            faults.push(format!("{path} is empty"));
        }
        let type_name = attribute["type"].as_str().or(entry["type"].as_str()).unwrap();
        for item in &items {
            if !type_name.ends_with("_t") {
                let attributes = self.object(type_name);
                let constraints = self.constraints[type_name].clone();
                self.check_object(item, &attributes, &constraints, (profiles, path), faults);
                continue;
            }
            if !self.has_type(item, type_name) {
                faults.push(format!("{path}: {item} is not {type_name}"));
            }
            let allowed: BTreeSet<&String> = [attribute, entry]
                .iter()
                .filter_map(|it| it["enum"].as_object())
                .flat_map(Map::keys)
                .collect();
            if !allowed.is_empty() && !allowed.contains(&item.to_string()) {
                faults.push(format!("{path}: {item} is not one of {allowed:?}"));
            }
        }
    }

    fn has_type(&self, value: &Value, name: &str) -> bool {
        let definition = &self.dictionary["types"]["attributes"][name];
        assert!(definition.is_object(), "no type {name}");
        let is_form = match name {
            "ip_t" => value.as_str().is_some_and(|text| text.parse::<std::net::IpAddr>().is_ok()),
            "mac_t" => value.as_str().is_some_and(|text| {
                text.len() == 17 && text.split([':', '-']).all(|part| u8::from_str_radix(part, 16).is_ok())
            }),
            "uuid_t" => value.as_str().is_some_and(|text| {
                text.len() == 36 && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
            }),
            "datetime_t" | "email_t" => panic!("{name} is not written by the plugin"),
            _ => true,
        };
        is_form
            && match definition["type"].as_str().unwrap_or(name) {
                "string_t" => value.as_str().is_some_and(|text| !text.is_empty()),
                "boolean_t" => value.is_boolean(),
                "integer_t" | "long_t" => value.is_i64() || value.is_u64(),
                "float_t" => value.is_number(),
                other => panic!("type {other}"),
            }
    }
}
