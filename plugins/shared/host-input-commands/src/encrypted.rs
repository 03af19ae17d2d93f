//! Fields that must not be encrypted for a Defense Center.

use scanbridge_plugin_api::{PluginError, Result};

/// They say which host a vulnerability is on.
const REFUSED: [&str; 4] = ["asset.address", "asset.ipv6", "asset.dns", "asset.netbios"];

/// Checks that the host encrypts none of the fields that identify a host: the Defense Center would add hosts that do not
/// exist.
///
/// # Errors
/// When it does; `encrypted` has the names of the encrypted fields.
pub fn refuse_encrypted(encrypted: &[String]) -> Result<()> {
    let refused: Vec<_> = encrypted.iter().filter(|name| REFUSED.contains(&name.as_str())).collect();
    if refused.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = refused.iter().map(|name| format!("`{name}`")).collect();
    Err(PluginError::config(format!(
        "`encrypt` contains {}: commands with encrypted values would add hosts to the Defense Center that do not exist",
        names.join(", ")
    ))
    .with_hint("remove these fields from `encrypt.fields` of this output"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_identify_a_host_are_refused() {
        let check = |names: &[&str]| {
            refuse_encrypted(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&["asset.tags", "finding.result"]), Ok(()));
        for name in REFUSED {
            assert!(
                check(&["asset.tags", name])
                    .unwrap_err()
                    .message
                    .contains(&format!("`encrypt` contains `{name}`:"))
            );
        }
    }
}
