//! Values and items of lists: texts that become cells when their element ends.

use scanbridge_plugin_api::batch::Row;
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, Field, FindingField, FindingKind, list_items,
};

use crate::address::{self, Address};
use crate::cells::Cells;
use crate::cloud;
use crate::damage::Fault;
use crate::element_role::{ElementRole, Gathered, Item, Value};
use crate::forms::{Form, flag, is_placeholder, trim};
use crate::other::{Extra, Place, Table};

impl Cells {
    pub(crate) fn close_value(&mut self, value: Value) -> Result<(), Box<Fault>> {
        match value {
            Value::Part(index) => flatten(&self.value, &mut self.parts[usize::from(index).min(5)]),
            Value::Source => flatten(&self.value, &mut self.source),
            Value::AssetItem(field) => {
                flatten(&self.value, &mut self.item);
                if field == AssetField::Interfaces {
                    self.write_address_to_item();
                }
                self.count_item(ElementRole::Asset(field), self.asset.cell_len(field))?;
                add_item(&mut self.asset, field, &self.item);
            }
            Value::DefinitionItem(field) => {
                flatten(&self.value, &mut self.item);
                self.add_definition_item(field)?;
            }
            Value::DefinitionItems(field) => {
                let list = std::mem::take(&mut self.value);
                for item in list.split(',') {
                    flatten(item, &mut self.item);
                    self.add_definition_item(field)?;
                }
                self.value = list;
            }
            Value::Code(code) => {
                let text = std::mem::take(&mut self.value);
                self.set_code(code, &text, None);
                self.value = text;
            }
            Value::Address => {
                let text = std::mem::take(&mut self.value);
                self.add_address(&text, None);
                self.value = text;
            }
            Value::AssetFallback(field) => self.close_fallback(field),
            Value::SecondRiskScore => self.close_second_risk_score()?,
            Value::AssetFactor => self.add_named_item(ElementRole::Asset(AssetField::RiskFactors))?,
            Value::UserAttribute => self.add_named_item(ElementRole::Asset(AssetField::UserAttributes))?,
            Value::DetectionFactor => {
                self.set_factor();
                self.add_named_item(ElementRole::Finding(FindingField::RiskFactors))?;
            }
            Value::ThreatIntelligence => {
                flatten(&self.value, &mut self.parts[1]);
                self.join_parts(&[0, 1]);
                self.add_definition_item(DefinitionField::ThreatIntelligence)?;
            }
            Value::CvssMetric(_) => {
                flatten(&self.value, &mut self.parts[1]);
                if !self.parts[1].is_empty() {
                    self.join_parts(&[0, 1]);
                    self.add_definition_item(DefinitionField::CvssMetrics)?;
                }
            }
            Value::Gathered(list) => self.gather(list)?,
            Value::Ignored => self.is_ignored = self.take_flag(FindingField::Ignored),
            Value::Disabled => self.is_disabled = self.take_flag(FindingField::Disabled),
            Value::DefinitionType => {
                self.definition_kind = kind_of_definition(&self.value);
                let text = if is_placeholder(&self.value) { "" } else { &self.value };
                self.definition.set(DefinitionField::Type, text);
            }
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn close_item(&mut self, item: Item) -> Result<(), Box<Fault>> {
        match item {
            Item::Cve => self.add_parts(DefinitionField::Cves, &[0]),
            Item::Bugtraq => self.add_parts(DefinitionField::Bugtraqs, &[0]),
            Item::VendorReference => self.add_parts(DefinitionField::VendorReferences, &[0, 1]),
            Item::Compliance => self.add_parts(DefinitionField::Compliance, &[0, 1, 2]),
            Item::Change => {
                self.spell_time(0);
                self.add_parts(DefinitionField::Changes, &[0, 1])
            }
            Item::Software => {
                for part in &mut self.parts[..2] {
                    if part == "None" {
                        part.clear();
                    }
                }
                self.add_parts(DefinitionField::Software, &[0, 1])
            }
            Item::Exploit => self.add_with_source(DefinitionField::Exploits, &[0, 1, 2]),
            Item::Malware => {
                self.add_parts(DefinitionField::Malware, &[0])?;
                self.add_with_source(DefinitionField::MalwareDetails, &[0, 1, 2, 3, 4, 5])
            }
            Item::Tag => {
                self.add_asset_parts(AssetField::Tags, &[1])?;
                if self.parts[0].is_empty() {
                    Ok(())
                } else {
                    self.add_asset_parts(AssetField::TagIds, &[0, 1])
                }
            }
            Item::Group => {
                self.add_asset_parts(AssetField::Groups, &[1])?;
                self.add_asset_parts(AssetField::GroupIds, &[0])
            }
            Item::CloudTag => {
                self.spell_time(2);
                self.add_asset_parts(AssetField::CloudTags, &[0, 1, 2])
            }
            Item::CloudAttribute => {
                self.set_cloud_fact();
                self.spell_time(3);
                self.spell_time(4);
                self.add_asset_parts(AssetField::CloudAttributes, &[0, 1, 2, 3, 4, 5])
            }
        }
    }

    /// Writes these parts to the item, separated by tabs, without empty parts at the end.
    fn join_parts(&mut self, parts: &[usize]) {
        self.item.clear();
        for (count, part) in parts.iter().enumerate() {
            if count > 0 {
                self.item.push('\t');
            }
            self.item.push_str(&self.parts[*part]);
        }
        let length = self.item.trim_end_matches('\t').len();
        self.item.truncate(length);
    }

    fn add_parts(&mut self, field: DefinitionField, parts: &[usize]) -> Result<(), Box<Fault>> {
        self.join_parts(parts);
        self.add_definition_item(field)
    }

    /// Adds the source and these parts, unless there is only the source.
    fn add_with_source(&mut self, field: DefinitionField, parts: &[usize]) -> Result<(), Box<Fault>> {
        self.join_parts(parts);
        if !self.item.is_empty() {
            self.item.insert(0, '\t');
            self.item.insert_str(0, &self.source);
        }
        self.add_definition_item(field)
    }

    fn add_asset_parts(&mut self, field: AssetField, parts: &[usize]) -> Result<(), Box<Fault>> {
        self.join_parts(parts);
        self.count_item(ElementRole::Asset(field), self.asset.cell_len(field))?;
        add_item(&mut self.asset, field, &self.item);
        Ok(())
    }

    /// Adds the name in the first part and the value.
    fn add_named_item(&mut self, list: ElementRole) -> Result<(), Box<Fault>> {
        flatten(&self.value, &mut self.parts[1]);
        if is_placeholder(&self.parts[1]) {
            return Ok(());
        }
        self.join_parts(&[0, 1]);
        match list {
            ElementRole::Asset(field) => {
                self.count_item(list, self.asset.cell_len(field))?;
                self.asset.append_item(field, &self.item);
            }
            ElementRole::Finding(field) => {
                self.count_item(list, self.finding.cell_len(field))?;
                self.finding.append_item(field, &self.item);
            }
            _ => {}
        }
        Ok(())
    }

    fn add_definition_item(&mut self, field: DefinitionField) -> Result<(), Box<Fault>> {
        if self.item.is_empty() || field == DefinitionField::Cves && self.is_cve_of_attribute() {
            return Ok(());
        }
        self.count_item(ElementRole::Definition(field), self.definition.cell_len(field))?;
        self.definition.append_item(field, &self.item);
        Ok(())
    }

    /// Whether the finding's attribute already contains the CVE ID. The list usually repeats the attribute in the
    /// same order, so that one comparison is enough.
    fn is_cve_of_attribute(&mut self) -> bool {
        if self.cves_of_attribute == 0 || self.cves_of_attribute > MAX_SEARCHED_BYTES {
            return false;
        }
        let cves = self.definition.get(DefinitionField::Cves);
        let known = &cves[..self.cves_of_attribute];
        let expected = known.get(self.next_cve..).unwrap_or_default();
        if let Some(after) = expected.strip_prefix(&*self.item)
            && (after.is_empty() || after.starts_with('\n'))
        {
            self.next_cve += self.item.len() + 1;
            return true;
        }
        list_items(known).any(|known| known == self.item)
    }

    /// A list must be moved before it can grow if another cell was written after it. Counting the moved bytes bounds
    /// the row if a report alternates between long lists.
    fn count_item(&mut self, list: ElementRole, present: usize) -> Result<(), Box<Fault>> {
        let moved = if self.open_list == Some(list) { 0 } else { present };
        self.open_list = Some(list);
        self.count_text_in(list, moved + self.item.len())
    }

    /// Adds the CVE IDs of a finding's attribute, a comma-separated list.
    pub(crate) fn add_cves_of_attribute(&mut self, list: &str) -> Result<(), Box<Fault>> {
        for item in list.split(',') {
            flatten(item, &mut self.item);
            self.add_definition_item(DefinitionField::Cves)?;
        }
        self.cves_of_attribute = self.definition.cell_len(DefinitionField::Cves);
        Ok(())
    }

    /// Adds an address of the asset, or of one of its interfaces. `path` is where it is in the
    /// report, if it is not the text of an element.
    pub(crate) fn add_address(&mut self, text: &str, path: Option<&str>) {
        let (address, zone) = address::read(text);
        let place = |end: &'static str| match path {
            Some(path) => Place::At(format!("{path}{end}")),
            None => Place::Closed(end),
        };
        if !zone.is_empty() {
            let (place, text) = (place("%zone"), zone.to_owned());
            self.extras.push(Extra { table: Table::Asset, place, text, field: None, is_second: true });
        }
        let spelled = match address {
            Address::None => return,
            Address::Invalid if is_placeholder(text.trim()) => return,
            Address::Invalid => {
                let place = place("");
                return self.add_bad_value(Table::Asset, place, "address", text.to_owned());
            }
            Address::V4(address) => address.to_string(),
            Address::V6(address) => address.to_string(),
        };
        self.add_spelled_address(&spelled);
    }

    /// The first IPv4 address is the address of the asset. The first IPv6 address is that of an asset without an IPv4
    /// address, otherwise its IPv6 address.
    fn add_spelled_address(&mut self, spelled: &str) {
        let (address, ipv6) = (AssetField::Address, AssetField::Ipv6);
        let present = self.asset.get(address).to_owned();
        if present == spelled || self.asset.get(ipv6) == spelled {
            return;
        }
        let is_v6 = spelled.contains(':');
        if present.is_empty() {
            self.asset.set(address, spelled);
        } else if is_v6 && !present.contains(':') && self.asset.cell_len(ipv6) == 0 {
            self.asset.set(ipv6, spelled);
        } else if !is_v6 && present.contains(':') && self.asset.cell_len(ipv6) == 0 {
            self.asset.set(address, spelled);
            self.asset.set(ipv6, &present);
        } else {
            add_item(&mut self.asset, AssetField::Interfaces, spelled);
        }
    }

    /// An address of an interface in the spelling of the model. Any other text stays as it is.
    fn write_address_to_item(&mut self) {
        match address::read(&self.item).0 {
            Address::None => self.item.clear(),
            Address::V4(address) => self.item = address.to_string(),
            Address::V6(address) => self.item = address.to_string(),
            Address::Invalid => {}
        }
    }

    /// Uses the text if the cell is empty, and passes it on if it differs.
    fn close_fallback(&mut self, field: AssetField) {
        let text = trim(&self.value);
        if is_placeholder(text) || self.asset.get(field) == text {
            return;
        }
        if self.asset.cell_len(field) == 0 {
            self.asset.set(field, text);
            return;
        }
        let (place, text) = (Place::Closed(""), text.to_owned());
        self.extras.push(Extra { table: Table::Asset, place, text, field: None, is_second: true });
    }

    /// The score is a factor, and the risk score of an asset without another one.
    fn close_second_risk_score(&mut self) -> Result<(), Box<Fault>> {
        let mut scratch = String::new();
        match Form::Integer(0, 1000).of(&self.value, &mut scratch) {
            Some("") => return Ok(()),
            Some(score) if self.asset.cell_len(AssetField::RiskScore) == 0 => {
                self.asset.set(AssetField::RiskScore, score);
            }
            Some(_) => {}
            None => {
                let (place, text) = (Place::Closed(""), self.value.clone());
                self.add_bad_value(Table::Asset, place, "risk_score", text);
                return Ok(());
            }
        }
        "asset_risk_score".clone_into(&mut self.parts[0]);
        self.add_named_item(ElementRole::Asset(AssetField::RiskFactors))
    }

    /// Factors of a detection score that have columns of their own.
    fn set_factor(&mut self) {
        let text = trim(&self.value);
        let field = match &self.parts[0] {
            name if name.eq_ignore_ascii_case("epss") => FindingField::Epss,
            name if name.eq_ignore_ascii_case("cisa_vuln") => FindingField::KnownExploited,
            name if name.eq_ignore_ascii_case("exploit_maturity") => FindingField::ExploitMaturity,
            name if name.eq_ignore_ascii_case("rti") => FindingField::ThreatIndicators,
            _ => return,
        };
        match field {
            FindingField::Epss => {
                let mut scratch = String::new();
                match Form::Decimal(0, 1).of(text, &mut scratch) {
                    Some(value) => self.finding.set(field, value),
                    None => self.add_bad_factor("epss"),
                }
            }
            FindingField::KnownExploited => match flag(text) {
                Some(value) => self.finding.set(field, if value { "1" } else { "0" }),
                None if is_placeholder(text) => {}
                None => self.add_bad_factor("known_exploited"),
            },
            _ => {
                for item in text.split(',') {
                    flatten(item, &mut self.item);
                    add_item(&mut self.finding, field, &self.item);
                }
            }
        }
    }

    /// The text stays in the list of factors.
    fn add_bad_factor(&mut self, field: &'static str) {
        let (place, text) = (Place::At("QDS_FACTORS/QDS_FACTOR".to_owned()), self.value.clone());
        self.add_bad_value(Table::Finding, place, field, text);
    }

    /// Sets the flag, and returns whether it is set.
    fn take_flag(&mut self, field: FindingField) -> bool {
        let text = trim(&self.value);
        match flag(text) {
            Some(value) => {
                self.finding.set(field, if value { "1" } else { "0" });
                return value;
            }
            None if is_placeholder(text) => {}
            None => {
                let (place, text) = (Place::Closed(""), text.to_owned());
                self.add_bad_value(Table::Finding, place, FindingField::NAMES[field.index()], text);
            }
        }
        false
    }

    /// Ends an item of a list whose items may be children of any names.
    pub(crate) fn gather(&mut self, list: Gathered) -> Result<(), Box<Fault>> {
        let text = std::mem::take(&mut self.value);
        let separates = |c: char| c == ',' || list == Gathered::Cves && c.is_ascii_whitespace();
        for item in text.split(separates) {
            flatten(item, &mut self.item);
            if is_placeholder(&self.item) {
                continue;
            }
            self.count_text(self.item.len() + 1)?;
            let gathered = &mut self.gathered[list as usize];
            if !gathered.is_empty() {
                gathered.push('\n');
            }
            gathered.push_str(&self.item);
        }
        self.value = text;
        self.value.clear();
        Ok(())
    }

    /// Writes the gathered lists to the finding. Other items than CVE IDs are passed on.
    pub(crate) fn settle_lists(&mut self) {
        if self.gathered.iter().all(String::is_empty) {
            return;
        }
        let gathered = std::mem::take(&mut self.gathered);
        for item in list_items(&gathered[Gathered::Cves as usize]) {
            if is_cve(item) {
                add_item(&mut self.finding, FindingField::Cves, &item.to_ascii_uppercase());
            } else {
                let place = Place::At("CVE".to_owned());
                self.add_bad_value(Table::Finding, place, "cves", item.to_owned());
            }
        }
        for item in list_items(&gathered[Gathered::DetectionSources as usize]) {
            add_item(&mut self.finding, FindingField::DetectionSources, item);
        }
        for (field, ids, names) in [
            (FindingField::AttackTactics, Gathered::TacticIds, Gathered::TacticNames),
            (FindingField::AttackTechniques, Gathered::TechniqueIds, Gathered::TechniqueNames),
        ] {
            self.pair(field, &gathered[ids as usize], &gathered[names as usize]);
        }
        self.gathered = gathered;
    }

    /// Pairs IDs and names by position if their numbers are equal. Otherwise each becomes an item of its own.
    fn pair(&mut self, field: FindingField, ids: &str, names: &str) {
        if list_items(ids).count() == list_items(names).count() {
            for (id, name) in list_items(ids).zip(list_items(names)) {
                self.finding.append_item(field, &format!("{id}\t{name}"));
            }
            return;
        }
        for id in list_items(ids) {
            self.finding.append_item(field, id);
        }
        for name in list_items(names) {
            self.finding.append_item(field, &format!("\t{name}"));
        }
    }

    /// Sets the cell for which the provider's attribute is the best source.
    fn set_cloud_fact(&mut self) {
        let Some((field, rank)) = cloud::field_of(self.provider, &self.parts[0]) else { return };
        let Some(value) = cloud::value_of(field, &self.parts[1], &self.parts[2]) else { return };
        let known = self.cloud_ranks.iter().position(|(known, _)| *known == field);
        match known {
            Some(index) if self.cloud_ranks[index].1 <= rank => return,
            Some(index) => self.cloud_ranks[index].1 = rank,
            None => self.cloud_ranks.push((field, rank)),
        }
        self.asset.set(field, &value);
    }

    /// Completes what the metadata of a provider says about the asset.
    pub(crate) fn close_cloud_metadata(&mut self) {
        if self.asset.cell_len(AssetField::CloudProvider) == 0 {
            self.asset.set(AssetField::CloudProvider, self.provider.name());
        }
        if self.provider == cloud::Provider::Google && self.asset.cell_len(AssetField::CloudRegion) == 0 {
            let region = cloud::region_of_zone(self.asset.get(AssetField::CloudZone)).map(str::to_owned);
            self.asset.set(AssetField::CloudRegion, region.as_deref().unwrap_or_default());
        }
    }

    /// A time in the spelling of the model, if it is one.
    fn spell_time(&mut self, part: usize) {
        let mut scratch = String::new();
        if let Some(time) = Form::Time.of(&self.parts[part], &mut scratch) {
            self.parts[part] = time.to_owned();
        }
    }
}

/// The kind of findings of a definition of this type, if all of them are of one kind.
fn kind_of_definition(text: &str) -> Option<FindingKind> {
    match text {
        "Vulnerability" => Some(FindingKind::Vulnerability),
        "Potential Vulnerability" => Some(FindingKind::Potential),
        "Information Gathered" => Some(FindingKind::Information),
        _ => None,
    }
}

/// `CVE-2014-0160`: a year of four digits, and a number of at least four.
fn is_cve(text: &str) -> bool {
    let digits =
        |part: &str, least: usize| part.len() >= least && part.bytes().all(|byte| byte.is_ascii_digit());
    let rest = text.get(..4).filter(|start| start.eq_ignore_ascii_case("CVE-")).map(|_| &text[4..]);
    let parts = rest.and_then(|rest| rest.split_once('-'));
    parts.is_some_and(|(year, number)| year.len() == 4 && digits(year, 4) && digits(number, 4))
}

/// Writes `text` on one line and without tabs: items of list cells, and their parts, must not contain either.
pub(crate) fn flatten(text: &str, into: &mut String) {
    into.clear();
    let text = text.trim_ascii();
    // The compiler vectorizes this; white space is among the least bytes.
    if text.bytes().fold(u8::MAX, u8::min) > b' ' {
        into.push_str(text);
        return;
    }
    for word in text.split_ascii_whitespace() {
        if !into.is_empty() {
            into.push(' ');
        }
        into.push_str(word);
    }
}

/// Longer lists are not searched for duplicates, because the time grows with the square of the length.
const MAX_SEARCHED_BYTES: usize = 64 << 10;

/// Adds an item unless the list already contains it.
fn add_item<F: Field>(row: &mut Row<F>, field: F, item: &str) {
    let is_known =
        || row.cell_len(field) <= MAX_SEARCHED_BYTES && list_items(row.get(field)).any(|known| known == item);
    if !is_placeholder(item) && !is_known() {
        row.append_item(field, item);
    }
}
