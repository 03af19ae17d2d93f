//! Facts about an asset among the metadata that its cloud provider reports.

use scanbridge_plugin_api::model::AssetField;

use crate::address::{self, Address};

/// The providers, by the names of their elements in `METADATA`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Provider {
    #[default]
    Ec2,
    Azure,
    Google,
    Alibaba,
}

impl Provider {
    pub(crate) fn of_element(name: &str) -> Option<Self> {
        Some(match name {
            "EC2" => Self::Ec2,
            "AZURE" => Self::Azure,
            "GOOGLE" | "GCP" => Self::Google,
            "ALICLOUD" => Self::Alibaba,
            _ => return None,
        })
    }

    /// The name that Qualys writes in `CLOUD_PROVIDER`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ec2 => "AWS",
            Self::Azure => "Azure",
            Self::Google => "GCP",
            Self::Alibaba => "ALICLOUD",
        }
    }

    fn table(self) -> &'static [(AssetField, &'static [&'static str])] {
        match self {
            Self::Ec2 => EC2,
            Self::Azure => AZURE,
            Self::Google => GOOGLE,
            Self::Alibaba => ALIBABA,
        }
    }
}

use AssetField as F;

/// For each field the names of its attributes: the first one that has a value is used.
const EC2: &[(AssetField, &[&str])] = &[
    (F::CloudAccount, &["latest/dynamic/instance-identity/document/accountId", "ownerId"]),
    (F::CloudRegion, &["latest/dynamic/instance-identity/document/region"]),
    (F::CloudZone, &["latest/dynamic/instance-identity/document/availabilityZone"]),
    (
        F::CloudInstanceType,
        &["latest/meta-data/instance-type", "latest/dynamic/instance-identity/document/instanceType"],
    ),
    (F::CloudInstanceState, &["instanceState"]),
    (F::CloudGroup, &["groupName"]),
    (F::CloudImage, &["latest/meta-data/ami-id", "latest/dynamic/instance-identity/document/imageId"]),
    (F::CloudPublicAddress, &["latest/meta-data/public-ipv4"]),
    (
        F::CloudPrivateAddress,
        &["latest/meta-data/local-ipv4", "latest/dynamic/instance-identity/document/privateIp"],
    ),
    (F::CloudPublicDns, &["latest/meta-data/public-hostname"]),
    (F::CloudPrivateDns, &["latest/meta-data/local-hostname"]),
    (F::Macs, &["latest/meta-data/mac"]),
];

const AZURE: &[(AssetField, &[&str])] = &[
    (F::CloudAccount, &["subscriptionId"]),
    (F::CloudRegion, &["location"]),
    (F::CloudInstanceType, &["vmSize"]),
    (F::CloudInstanceState, &["state"]),
    (F::CloudGroup, &["resourceGroupName"]),
    (F::CloudPublicAddress, &["latest/meta-data/public-ipv4"]),
    (F::Macs, &["macAddress"]),
];

const GOOGLE: &[(AssetField, &[&str])] = &[
    (F::CloudAccount, &["projectIdNo", "projectId"]),
    (F::CloudRegion, &["region"]),
    (F::CloudZone, &["zone"]),
    (F::CloudInstanceType, &["machineType"]),
    (F::CloudInstanceState, &["state"]),
];

/// Guesses: no report of this provider is known.
const ALIBABA: &[(AssetField, &[&str])] = &[
    (F::CloudRegion, &["regionId"]),
    (F::CloudZone, &["zoneId"]),
    (F::CloudInstanceType, &["instanceType"]),
];

/// The field of an attribute, and the rank of the attribute's name: a lower rank is preferred.
pub(crate) fn field_of(provider: Provider, name: &str) -> Option<(AssetField, u8)> {
    provider.table().iter().find_map(|(field, names)| {
        let rank = (0_u8..).zip(*names).find(|(_, known)| known.eq_ignore_ascii_case(name))?.0;
        Some((*field, rank))
    })
}

/// The value of a field in the spelling of the model; `None` if the text has no value. Only attributes that the provider
/// reported successfully count.
pub(crate) fn value_of(field: AssetField, text: &str, status: &str) -> Option<String> {
    let text = text.trim();
    let is_missing = text.is_empty() || text == "-" || text.eq_ignore_ascii_case("null");
    if is_missing || !(status.is_empty() || status.eq_ignore_ascii_case("success")) {
        return None;
    }
    match field {
        // The value may begin with a slash, or be an error page.
        F::CloudPublicAddress | F::CloudPrivateAddress => match address::read(text.trim_start_matches('/')).0
        {
            Address::V4(address) => Some(address.to_string()),
            Address::V6(address) => Some(address.to_string()),
            Address::None | Address::Invalid => None,
        },
        F::Macs => address::mac(text),
        _ => Some(text.to_owned()),
    }
}

/// The region of a zone of Google: `europe-west3-a` is in `europe-west3`.
pub(crate) fn region_of_zone(zone: &str) -> Option<&str> {
    let (region, letter) = zone.rsplit_once('-')?;
    (letter.len() == 1).then_some(region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_have_fields_and_ranks() {
        for (provider, name, expected) in [
            (Provider::Ec2, "latest/meta-data/instance-type", Some((F::CloudInstanceType, 0))),
            (Provider::Ec2, "ownerId", Some((F::CloudAccount, 1))),
            (Provider::Azure, "VMSIZE", Some((F::CloudInstanceType, 0))),
            (Provider::Google, "projectId", Some((F::CloudAccount, 1))),
            (Provider::Google, "ownerId", None),
        ] {
            assert_eq!(field_of(provider, name), expected, "{name}");
        }
    }

    #[test]
    fn only_successful_values_are_used() {
        for (field, text, status, expected) in [
            (F::CloudPublicAddress, "/203.0.113.7", "Success", Some("203.0.113.7")),
            (F::CloudPublicAddress, "<html>404</html>", "Success", None),
            (F::CloudRegion, "zz-north-1", "", Some("zz-north-1")),
            (F::CloudRegion, "zz-north-1", "Failed", None),
            (F::CloudRegion, "null", "Success", None),
            (F::Macs, "00-00-5E-00-53-01", "SUCCESS", Some("00:00:5e:00:53:01")),
        ] {
            assert_eq!(value_of(field, text, status).as_deref(), expected, "{text} {status}");
        }
        assert_eq!(region_of_zone("europe-west3-a"), Some("europe-west3"));
        assert_eq!(region_of_zone("local"), None);
    }
}
