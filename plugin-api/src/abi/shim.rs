//! Calls a plugin's methods for the host. A panic is caught here, because only the library that panics can catch it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::host_table::HostHandle;
use super::{log, status::Status};
use crate::error::{PluginError, Result};

/// One instance of a plugin and its host handle.
pub(super) struct Instance<T> {
    plugin: Option<T>,
    host: HostHandle,
    poisoned: bool,
}

impl<T> Instance<T> {
    /// Passes the ownership of an instance to the host.
    pub(super) fn into_handle(plugin: T, host: HostHandle) -> *mut () {
        Box::into_raw(Box::new(Self { plugin: Some(plugin), host, poisoned: false })).cast()
    }

    /// Calls a method of the instance. A panic poisons the instance: its state may be inconsistent, so later calls do
    /// not reach it.
    ///
    /// # Safety
    /// `handle` is from [`Instance::into_handle`] of the same type and has not been closed.
    pub(super) unsafe fn call(handle: *mut (), method: impl FnOnce(&mut T) -> Result<()>) -> Status {
        // SAFETY: required by this function; the host makes one call at a time.
        let instance = unsafe { &mut *handle.cast::<Self>() };
        let _logging = log::enter(Some(instance.host));
        let Some(plugin) = instance.plugin.as_mut().filter(|_| !instance.poisoned) else {
            return Status::from(Err(PluginError::bug("plugin bug: the plugin was called after a panic")));
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| method(plugin)));
        instance.poisoned = outcome.is_err();
        Status::from(outcome.unwrap_or_else(|panic| Err(panicked(panic))))
    }

    /// Calls a method that changes nothing in the instance. So a panic in it does not poison the instance: it can
    /// continue to deliver.
    ///
    /// # Safety
    /// As for [`Instance::call`].
    pub(super) unsafe fn read(handle: *mut (), method: impl FnOnce(&T) -> Result<()>) -> Status {
        // SAFETY: required by this function; the host makes one call at a time.
        let instance = unsafe { &*handle.cast::<Self>() };
        let _logging = log::enter(Some(instance.host));
        match instance.plugin.as_ref().filter(|_| !instance.poisoned) {
            Some(plugin) => guard(|| method(plugin)),
            None => Status::from(Err(PluginError::bug("plugin bug: the plugin was called after a panic"))),
        }
    }

    /// Closes an instance. A poisoned one is leaked: its destructor could panic again.
    ///
    /// # Safety
    /// As for [`Instance::call`]; the handle is invalid afterwards.
    pub(super) unsafe fn close(handle: *mut (), method: impl FnOnce(T) -> Result<()>) -> Status {
        // SAFETY: required by this function.
        let mut instance = unsafe { Box::from_raw(handle.cast::<Self>()) };
        let _logging = log::enter(Some(instance.host));
        match instance.plugin.take() {
            Some(plugin) if instance.poisoned => {
                std::mem::forget(plugin);
                Status::default()
            }
            Some(plugin) => guard(|| method(plugin)),
            None => Status::default(),
        }
    }
}

/// Runs code that has no instance yet.
pub(super) fn guard(work: impl FnOnce() -> Result<()>) -> Status {
    Status::from(catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panicked(panic))))
}

/// Converts a panic into an error. The payload is leaked, because its destructor could panic again.
fn panicked(panic: Box<dyn Any + Send>) -> PluginError {
    let error = PluginError::bug(format!("plugin panicked: {}", log::panic_text(&*panic)));
    std::mem::forget(panic);
    error
}
