//! The console: pages from the service, complete without scripts.

mod assets;
mod dead_letters;
mod events;
mod forms;
mod frame;
mod health;
mod login;
mod overview;
mod pipeline;
mod plugins;
mod reports;
mod run;
mod values;
mod words;

use axum::Router;
use axum::routing::{get, post};

use super::context::Context;

/// The routes of all pages.
pub(super) fn routes() -> Router<Context> {
    Router::new()
        .route("/", get(overview::show))
        .route("/reload", post(overview::reload))
        .route("/login", get(login::show).post(login::log_in))
        .route("/logout", post(login::log_out))
        .route("/health", get(health::show))
        .route("/plugins", get(plugins::show))
        .route("/pipelines/{name}", get(pipeline::show))
        .route("/pipelines/{name}/stop", get(pipeline::confirm_stop).post(pipeline::stop))
        .route("/pipelines/{name}/{action}", post(pipeline::act))
        .route("/pipelines/{name}/runs/{number}", get(run::show))
        .route("/pipelines/{name}/dead-letters", get(dead_letters::show).post(dead_letters::act))
        .route("/pipelines/{name}/dead-letters/purge", get(dead_letters::confirm_purge))
        .route("/pipelines/{name}/reports", get(reports::show).post(reports::act))
        .route("/pipelines/{name}/reports/list", post(reports::list))
        .route("/pipelines/{name}/reports/confirm", post(reports::confirm))
        .route("/pipelines/{name}/reports/cancel", post(reports::cancel))
        .route("/events", get(events::send))
        .route("/assets/{name}", get(assets::send))
}
