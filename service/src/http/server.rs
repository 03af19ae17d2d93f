//! The thread that answers requests.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread;

use super::access::Access;
use super::control::Control;
use super::listener::Listener;
use super::requests::Requests;
use super::routes::{Context, router};
use crate::log_sink::Level;
use crate::message::Message;

/// Answers requests of the control socket and of the listener in a thread of its own.
///
/// # Errors
/// When the thread cannot be started.
pub(crate) fn serve(
    control: Control,
    listener: Option<Listener>,
    to: SyncSender<Message>,
    (access, requests): (Arc<Access>, Arc<Requests>),
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let serve = move || {
        runtime.block_on(async {
            let router = router(Context { to, access: Arc::clone(&access) }, requests);
            if let Some(listener) = listener {
                let (router, access) = (router.clone(), Arc::clone(&access));
                tokio::spawn(async move {
                    let log = Arc::clone(&access.log);
                    if let Err(error) = listener.serve(router, access).await {
                        log.service(Level::Error, &format!("the listener has stopped: {error}"));
                    }
                });
            }
            if let Err(error) = control.serve(router).await {
                access.log.service(Level::Error, &format!("the control socket has stopped: {error}"));
            }
        });
    };
    thread::Builder::new().name("http".to_owned()).spawn(serve)?;
    Ok(())
}
