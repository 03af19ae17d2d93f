//! Turns plugins into a library: `register_input!`, `register_output!` and `export_plugin!`.

pub use abi_stable::library::LibHeader;
use abi_stable::library::{CheckTypeLayout, RootModuleResult};
use abi_stable::prefix_type::PrefixTypeTrait;

use super::input_table::{INPUT_2, InputTable2, input_table};
use super::keeper_table::{KEEPER_1, KeeperTable1, keeper_table};
use super::memory::{Bytes, BytesRef};
use super::output_table::{OUTPUT_2, OutputTable2, output_table};
use super::render_table::{RENDER_1, RenderTable1, render_table};
use super::reports_table::{REPORTS_1, ReportsTable1, reports_table};
use super::root::{PlainRoot, RootModule, RootModuleRef};
use super::status::to_json;
use crate::capabilities::{InputCapabilities, OutputCapabilities};
use crate::descriptor::{Descriptor, PluginKind};
use crate::fips::Cryptography;
use crate::input::Input;
use crate::options::{OptionDescriptor, OptionSpec};
use crate::output::Output;

/// One plugin of this library. The registration macros pass it to `inventory`.
#[derive(Debug)]
pub struct PluginEntry {
    kind: PluginKind,
    name: &'static str,
    version: &'static str,
    summary: &'static str,
    options: &'static [OptionSpec],
    table: Table,
}

#[derive(Debug)]
enum Table {
    Input(&'static InputTable2, Option<&'static ReportsTable1>, InputCapabilities),
    Output(
        &'static OutputTable2,
        Option<&'static RenderTable1>,
        Option<&'static KeeperTable1>,
        OutputCapabilities,
    ),
}

impl Table {
    /// The function tables with their IDs.
    fn addresses(&self) -> impl Iterator<Item = (&'static str, *const ())> {
        let (first, optional) = match self {
            Self::Input(table, reports, _) => {
                let reports = reports.map(|table| (REPORTS_1, std::ptr::from_ref(table).cast()));
                ((INPUT_2, std::ptr::from_ref(*table).cast()), [reports, None])
            }
            Self::Output(table, render, keeper, _) => {
                let render = render.map(|table| (RENDER_1, std::ptr::from_ref(table).cast()));
                let keeper = keeper.map(|table| (KEEPER_1, std::ptr::from_ref(table).cast()));
                ((OUTPUT_2, std::ptr::from_ref(*table).cast()), [render, keeper])
            }
        };
        [first].into_iter().chain(optional.into_iter().flatten())
    }

    fn capabilities(&self) -> serde_json::Value {
        let capabilities = match self {
            Self::Input(_, _, capabilities) => serde_json::to_value(capabilities),
            Self::Output(_, _, _, capabilities) => serde_json::to_value(capabilities),
        };
        capabilities.expect("plain data can be serialized")
    }
}

inventory::collect!(PluginEntry);
// Of a library that declares its cryptography, `export_plugin!` passes the declaration.
inventory::collect!(Cryptography);

/// Gives the registration macros a constant table for each plugin type.
#[derive(Debug)]
pub struct Registration<T>(std::marker::PhantomData<T>);

impl<T: Input> Registration<T> {
    const INPUT_TABLE: InputTable2 = input_table::<T>();
    const REPORTS_TABLE: &'static ReportsTable1 = &reports_table::<T>();

    /// The entry of an input; `version` is the version of the plugin's crate.
    #[must_use]
    pub const fn input(version: &'static str) -> PluginEntry {
        PluginEntry {
            kind: PluginKind::Input,
            name: T::NAME,
            version,
            summary: T::SUMMARY,
            options: T::OPTIONS,
            table: Table::Input(
                &Self::INPUT_TABLE,
                if T::HAS_REPORTS { Some(Self::REPORTS_TABLE) } else { None },
                T::CAPABILITIES,
            ),
        }
    }
}

impl<T: Output> Registration<T> {
    const OUTPUT_TABLE: OutputTable2 = output_table::<T>();
    const RENDER_TABLE: &'static RenderTable1 = &render_table::<T>();
    const KEEPER_TABLE: &'static KeeperTable1 = &keeper_table::<T>();

    /// The entry of an output; `version` is the version of the plugin's crate.
    #[must_use]
    pub const fn output(version: &'static str) -> PluginEntry {
        PluginEntry {
            kind: PluginKind::Output,
            name: T::NAME,
            version,
            summary: T::SUMMARY,
            options: T::OPTIONS,
            table: Table::Output(
                &Self::OUTPUT_TABLE,
                if T::RENDERS { Some(Self::RENDER_TABLE) } else { None },
                if T::KEEPS_CHECKPOINT { Some(Self::KEEPER_TABLE) } else { None },
                T::CAPABILITIES,
            ),
        }
    }
}

impl PluginEntry {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: self.name.to_owned(),
            kind: self.kind,
            version: self.version.to_owned(),
            summary: self.summary.to_owned(),
            api: super::API.to_owned(),
            tables: self.table.addresses().map(|(id, _)| id.to_owned()).collect(),
            capabilities: self.table.capabilities(),
            options: self.options.iter().map(OptionDescriptor::from).collect(),
            crypto: inventory::iter::<Cryptography>.into_iter().next().map(Cryptography::describe),
        }
    }
}

extern "C" fn describe(out: &mut Bytes) {
    let mut descriptors: Vec<Descriptor> =
        inventory::iter::<PluginEntry>.into_iter().map(PluginEntry::descriptor).collect();
    descriptors.sort_by(|a, b| (&a.name, a.kind).cmp(&(&b.name, b.kind)));
    *out = to_json(&descriptors);
}

extern "C" fn get_table(id: BytesRef<'_>, plugin: BytesRef<'_>) -> *const () {
    let (id, plugin) = (id.to_text(), plugin.to_text());
    let entries = inventory::iter::<PluginEntry>.into_iter().filter(|entry| entry.name == plugin);
    let mut tables = entries.flat_map(|entry| entry.table.addresses());
    tables.find(|(known, _)| *known == id).map_or(std::ptr::null(), |(_, address)| address)
}

fn root() -> RootModuleRef {
    RootModule { describe, get_table }.leak_into_prefix()
}

extern "C" fn erased_root() -> RootModuleResult {
    // Catches a panic, and erases the type of the returned module in the way that the loader expects.
    abi_stable::library::__call_root_module_loader(root)
}

/// The header that `export_plugin!` exports.
#[must_use]
pub const fn root_header() -> LibHeader {
    // SAFETY: the constructor returns the named module.
    unsafe { LibHeader::from_constructor::<RootModuleRef>(erased_root, CheckTypeLayout::Yes) }
}

/// The plain root that `export_plugin!` exports as well, for hosts without `abi_stable`.
#[must_use]
pub const fn plain_root() -> PlainRoot {
    PlainRoot { size: size_of::<PlainRoot>() as u32, abi: super::ABI_MAJOR, describe, get_table }
}

/// The part of a library's identity that this crate knows: the ABI, the target and the toolchain.
pub const LIBRARY_RECORD: &str = concat!(
    "scanbridge-plugin\nabi=2\nroot=abi_stable\napi=2.0\ntarget=",
    env!("SCANBRIDGE_TARGET"),
    "\ntoolchain=",
    env!("SCANBRIDGE_RUSTC"),
    "\n"
);

/// Registers an [`Input`](crate::Input): `register_input!(MyInput);` next to the type.
#[macro_export]
macro_rules! register_input {
    ($plugin:ty) => {
        $crate::__register!($plugin, "input", <$plugin as $crate::Input>::NAME, input);
    };
}

/// Registers an [`Output`](crate::Output): `register_output!(MyOutput);` next to the type.
#[macro_export]
macro_rules! register_output {
    ($plugin:ty) => {
        $crate::__register!($plugin, "output", <$plugin as $crate::Output>::NAME, output);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __register {
    ($plugin:ty, $kind:literal, $name:expr, $entry:ident) => {
        const _: () = {
            const LENGTH: usize = $crate::__export::record_length(&["plugin ", $kind, " ", $name]);
            #[used]
            #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".scanbridge"))]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__scanbridge"))]
            static RECORD: [u8; LENGTH] = $crate::__export::name_record($kind, $name);

            $crate::__export::inventory::submit! {
                $crate::__export::Registration::<$plugin>::$entry(env!("CARGO_PKG_VERSION"))
            }
        };
    };
}

/// Makes the crate a plugin library: call it once, at the root of a `cdylib`. The library offers every plugin that is
/// registered in the crate, or in a crate that it names in code.
///
/// `export_plugin!(crypto: …)` also declares the [`Cryptography`](crate::Cryptography) of the library. Without a
/// declaration, the host refuses the library in FIPS mode.
#[macro_export]
macro_rules! export_plugin {
    () => {
        $crate::__export_plugin!("", "");
    };
    (crypto: $crypto:expr $(,)?) => {
        const _: () = {
            $crate::__export::inventory::submit! { $crypto }
        };
        $crate::__export_plugin!("\ncrypto=", $crate::Cryptography::word(&$crypto));
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_plugin {
    ($key:expr, $crypto:expr) => {
        const _: () = {
            const PARTS: &[&str] = &[
                $crate::__export::LIBRARY_RECORD,
                if cfg!(panic = "unwind") { "panic=unwind\n" } else { "panic=abort\n" },
                "crate=",
                env!("CARGO_PKG_NAME"),
                "\nversion=",
                env!("CARGO_PKG_VERSION"),
                $key,
                $crypto,
            ];
            #[used]
            #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".scanbridge"))]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__scanbridge"))]
            static RECORD: [u8; $crate::__export::record_length(PARTS)] =
                $crate::__export::identity_record(PARTS);

            // Same code as `abi_stable`'s own attribute, with paths that are valid in the plugin's crate.
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            pub static ROOT: $crate::__export::LibHeader = $crate::__export::root_header();

            #[unsafe(export_name = "scanbridge_root_2")]
            pub static PLAIN_ROOT: $crate::__export::PlainRoot = $crate::__export::plain_root();
        };
    };
}
