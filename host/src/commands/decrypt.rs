//! `scanbridge encrypt` and `scanbridge decrypt`.

use std::io::{self, BufRead};

use scanbridge_plugin_api::{ErrorKind, PluginError};

use super::preparation::{checked, registry};
use super::run::print_failures;
use super::saved_states::{self, SavedStates};
use super::service::Owner;
use super::terminal::{print, print_error, print_output};
use crate::cli::{CommonOptions, DecryptArguments, DecryptInput, EncryptCommand};
use crate::config::Pipeline;
use crate::encryption::{Encryption, FrozenEncryption, LineDecrypter, Mode, OutputCipher, new_secret};
use crate::exit_code::{USAGE, exit_code};
use crate::pipeline::Failure;
use crate::state::{Ledger, StateFolder, user_name};

pub(super) fn encrypt(command: &EncryptCommand) -> u8 {
    let EncryptCommand::NewSecret { file } = command;
    match new_secret(file) {
        Ok(()) => print_output(
            &format!(
                "wrote a random secret to {0}; refer to it with `secret: ${{file:{0}}}`, and keep a copy in a safe \
                 place: without it, nothing can be decrypted\n",
                file.display()
            ),
            0,
        ),
        Err(error) => {
            print_error(&format!("error: cannot create {}: {error}\n", file.display()));
            exit_code(ErrorKind::CannotCreate)
        }
    }
}

pub(super) fn decrypt(arguments: &DecryptArguments, common: &CommonOptions) -> u8 {
    let pipeline = match checked(&arguments.file, &registry(common), "") {
        Ok(pipeline) => pipeline,
        Err(code) => return code,
    };
    let Some(encryption) = encryption_of(&pipeline, &arguments.output) else { return USAGE };
    let cipher = match OutputCipher::new(encryption, Mode::Encrypt) {
        Ok(cipher) => cipher,
        Err(error) => return refuse(&arguments.output, &error),
    };
    if let Err(code) = check_key(arguments, &pipeline, encryption, &cipher, common) {
        return code;
    }
    let mut decrypter = LineDecrypter::new(&cipher);
    let result = decrypt_all(&mut decrypter, arguments);
    // Who has seen clear values, but none of these.
    let user = user_name(rustix::process::getuid().as_raw());
    let (values, key) = (decrypter.values, encryption.label());
    tracing::info!(instance = arguments.output, "audit: {user} has decrypted {values} values of key {key}");
    match result {
        Ok(0) => 0,
        Ok(failed) => {
            print_error(&format!("error: lines that could not be decrypted: {failed}\n"));
            exit_code(ErrorKind::BadData)
        }
        Err(error) => {
            print_error(&format!("error: {error}\n"));
            exit_code(ErrorKind::Io)
        }
    }
}

fn encryption_of<'p>(pipeline: &'p Pipeline, id: &str) -> Option<&'p Encryption> {
    let encrypting =
        || pipeline.outputs.iter().filter_map(|output| Some((output, output.encryption.as_ref()?)));
    let found = encrypting().find(|(output, _)| output.instance.id == id);
    if found.is_none() {
        let ids: Vec<_> = encrypting().map(|(output, _)| output.instance.id.as_str()).collect();
        let known = if ids.is_empty() {
            "none has".to_owned()
        } else {
            format!("those that have: {}", ids.join(", "))
        };
        print_error(&format!("error: the pipeline has no output `{id}` with `encrypt`; {known}\n"));
    }
    found.map(|(_, encryption)| encryption)
}

/// Compares the key with that of the first delivery: FF1 decrypts with every key, but to wrong values.
fn check_key(
    arguments: &DecryptArguments,
    pipeline: &Pipeline,
    encryption: &Encryption,
    cipher: &OutputCipher,
    common: &CommonOptions,
) -> Result<(), u8> {
    let owner = Owner::of(&arguments.file, common)?;
    let states = SavedStates::of_pipeline(pipeline, owner.as_ref(), common);
    for path in states.folders().map(StateFolder::ledger).filter(|path| path.exists()) {
        let ledger = Ledger::read_copy(&path);
        let frozen = ledger.and_then(|ledger| ledger.frozen_encryption(&arguments.output));
        if let Some(frozen) = frozen.map_err(|error| saved_states::refuse(&error))? {
            let now = FrozenEncryption::of(encryption, cipher);
            let same = frozen.compare_key(&arguments.output, &now);
            same.map_err(|error| refuse(&arguments.output, &error))?;
        }
    }
    Ok(())
}

fn refuse(output: &str, error: &PluginError) -> u8 {
    print_failures(&[Failure::new(output, error)], "; nothing was decrypted");
    exit_code(ErrorKind::Config)
}

/// Decrypts the values, or every line of standard input. Returns the number of those that could not be decrypted.
fn decrypt_all(decrypter: &mut LineDecrypter<'_>, arguments: &DecryptArguments) -> io::Result<u64> {
    let DecryptArguments { values, input, .. } = arguments;
    let mut failed = 0;
    let mut show = |number: usize, line: &str| -> io::Result<()> {
        let clear = match input {
            DecryptInput { format: Some(format), .. } => decrypter.value(*format, line),
            DecryptInput { json: true, .. } => decrypter.json(line),
            DecryptInput { map, .. } => decrypter.cef(line, map),
        };
        match clear {
            Ok(clear) => print(&format!("{clear}\n")),
            Err(error) => {
                failed += 1;
                print_error(&format!("error: line {}: {error}\n", number + 1));
                Ok(())
            }
        }
    };
    if values.is_empty() {
        for (number, line) in io::stdin().lock().lines().enumerate() {
            show(number, &line?)?;
        }
    } else {
        values.iter().enumerate().try_for_each(|(number, value)| show(number, value))?;
    }
    Ok(failed)
}
