//! Style, script and icon. Their names contain a hash of their content, so browsers keep them for ever.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use scanbridge_observe::REPORT_STYLE;

use crate::http::tokens::hash;

struct Asset {
    name: &'static str,
    kind: &'static str,
    content: &'static str,
}

const ASSETS: [Asset; 4] = [
    Asset { name: "report.css", kind: "text/css; charset=utf-8", content: REPORT_STYLE },
    Asset {
        name: "console.css",
        kind: "text/css; charset=utf-8",
        content: include_str!("../../../assets/console.css"),
    },
    Asset {
        name: "live.js",
        kind: "text/javascript; charset=utf-8",
        content: include_str!("../../../assets/live.js"),
    },
    Asset { name: "icon.svg", kind: "image/svg+xml", content: include_str!("../../../assets/icon.svg") },
];

/// The paths, in the order of [`ASSETS`].
static PATHS: LazyLock<[String; 4]> =
    LazyLock::new(|| ASSETS.map(|asset| format!("/assets/{}-{}", &hash(asset.content)[..12], asset.name)));

/// The path of an asset.
pub(super) fn asset(name: &str) -> &'static str {
    let known = ASSETS.iter().position(|asset| asset.name == name);
    known.map_or("", |at| PATHS[at].as_str())
}

pub(super) async fn send(Path(name): Path<String>) -> Response {
    let path = format!("/assets/{name}");
    match PATHS.iter().position(|known| *known == path) {
        Some(at) => {
            let kind = (header::CONTENT_TYPE, ASSETS[at].kind);
            let kept = (header::CACHE_CONTROL, "public, max-age=31536000, immutable");
            ([kind, kept], ASSETS[at].content).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
