//! Keys of records: all records of an asset have the same, so they are in one partition and in order.

use std::net::IpAddr;

use scanbridge_plugin_api::batch::AssetView;
use scanbridge_plugin_api::model::AssetField;

/// Appends the key of an asset: the source and the first of IP address, ID, DNS name, NetBIOS name.
pub(crate) fn append(key: &mut String, source: &str, asset: AssetView<'_>) {
    key.push_str(source);
    key.push('/');
    match (asset.address(), asset.get(AssetField::Id)) {
        ("", "") => {
            let name = [AssetField::Dns, AssetField::Netbios].map(|field| asset.get(field));
            let name = name.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
            key.extend(name.chars().flat_map(char::to_lowercase));
        }
        ("", id) => {
            key.push_str("id:");
            key.push_str(id);
        }
        (address, _) => match address.parse::<IpAddr>() {
            Ok(address) => key.push_str(&address.to_canonical().to_string()),
            Err(_) => key.push_str(address),
        },
    }
}

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::batch::{AssetRow, Batch, BatchBuilder, Columns, Schema};

    use super::*;

    fn key(cells: &[(AssetField, &str)]) -> String {
        let mut builder = BatchBuilder::default();
        let mut row = AssetRow::default();
        cells.iter().for_each(|(field, text)| row.set(*field, text));
        builder.push_asset(&row, false);
        let (raw, columns) = (builder.finish(), Columns::of(Schema::default()));
        let mut key = String::new();
        append(&mut key, "Qualys", Batch::of(&raw, &columns).unwrap().assets().next().unwrap());
        key
    }

    #[test]
    fn first_identity_that_an_asset_has() {
        use AssetField::{Address, Dns, Id, Ipv6, Netbios};
        for (cells, expected) in [
            (&[(Address, "192.0.2.7"), (Id, "5"), (Dns, "a")][..], "Qualys/192.0.2.7"),
            (&[(Address, "::ffff:192.0.2.7")], "Qualys/192.0.2.7"),
            (&[(Ipv6, "2001:DB8:0::1")], "Qualys/2001:db8::1"),
            (&[(Id, "5"), (Dns, "a")], "Qualys/id:5"),
            (&[(Dns, "WWW.Example.com"), (Netbios, "N")], "Qualys/www.example.com"),
            (&[(Netbios, "SRV1")], "Qualys/srv1"),
        ] {
            assert_eq!(key(cells), expected);
        }
    }
}
