//! The routes of the service: who may use them is decided by their handlers, whose first argument is a
//! [`Reader`](super::caller::Reader) or an [`Operator`](super::caller::Operator).

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path as UrlPath, State};
use axum::handler::Handler;
use axum::http::Uri;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::{MethodFilter, MethodRouter};

use super::audit::identify;
use super::connection::whole_body;
use super::context::{Context, Sender, ask};
use super::control_routes as control;
use super::data_routes as data;
use super::headers::add_headers;
use super::host_check::check_host;
use super::problems::explain;
use super::requests::{Requests, count};
use super::{pages, token_routes};
use crate::machine::Request;
use crate::request::{Api, Reply};

/// A path of the API with its methods, as `docs/api.yaml` describes it.
pub(super) struct Route {
    pub(super) path: &'static str,
    pub(super) methods: Vec<&'static str>,
    handlers: MethodRouter<Context>,
}

impl Route {
    fn new(path: &'static str) -> Self {
        Self { path, methods: Vec::new(), handlers: MethodRouter::new() }
    }

    fn get<H: Handler<T, Context>, T: 'static>(self, handler: H) -> Self {
        self.on("get", MethodFilter::GET, handler)
    }

    fn post<H: Handler<T, Context>, T: 'static>(self, handler: H) -> Self {
        self.on("post", MethodFilter::POST, handler)
    }

    fn delete<H: Handler<T, Context>, T: 'static>(self, handler: H) -> Self {
        self.on("delete", MethodFilter::DELETE, handler)
    }

    fn on<H: Handler<T, Context>, T: 'static>(
        mut self,
        name: &'static str,
        method: MethodFilter,
        handler: H,
    ) -> Self {
        self.methods.push(name);
        self.handlers = self.handlers.on(method, handler);
        self
    }
}

/// All routes of the API.
pub(super) fn api() -> Vec<Route> {
    let of_pipeline = |request: Request| {
        async move |guard: super::caller::Operator, to: State<Sender>, path| {
            control::act(guard, to, path, request).await
        }
    };
    // An output or input can have the name of a command: what is read and what is done differ in their methods.
    let letters_of = |output: &'static str| {
        async move |guard: super::caller::Operator,
                    context: State<Context>,
                    UrlPath(name): UrlPath<String>,
                    filter| {
            data::letters(guard, context, UrlPath((name, output.to_owned())), filter).await
        }
    };
    vec![
        Route::new("/health/live").get(async |State(to): State<Sender>| ask(&to, Api::Live).await),
        Route::new("/health/ready").get(async |State(to): State<Sender>| ask(&to, Api::Ready).await),
        Route::new("/metrics").get(control::metrics),
        Route::new("/api/v1/service").get(control::service),
        Route::new("/api/v1/pipelines").get(control::pipelines),
        Route::new("/api/v1/pipelines/{name}").get(control::pipeline),
        Route::new("/api/v1/pipelines/{name}/run").post(of_pipeline(Request::Run)),
        Route::new("/api/v1/pipelines/{name}/pause").post(of_pipeline(Request::Pause)),
        Route::new("/api/v1/pipelines/{name}/resume").post(of_pipeline(Request::Resume)),
        Route::new("/api/v1/pipelines/{name}/stop").post(of_pipeline(Request::Stop)),
        Route::new("/api/v1/pipelines/{name}/runs").get(data::runs),
        Route::new("/api/v1/pipelines/{name}/runs/{number}").get(data::run),
        Route::new("/api/v1/pipelines/{name}/reports").get(data::reports),
        Route::new("/api/v1/pipelines/{name}/reports/send").post(data::send_reports),
        Route::new("/api/v1/pipelines/{name}/reports/skip").post(data::skip_reports),
        Route::new("/api/v1/pipelines/{name}/dead-letters")
            .get(data::dead_letters)
            .post(control::dead_letters),
        Route::new("/api/v1/pipelines/{name}/dead-letters/replay")
            .get(letters_of("replay"))
            .post(data::replay),
        Route::new("/api/v1/pipelines/{name}/dead-letters/purge").get(letters_of("purge")).post(data::purge),
        Route::new("/api/v1/pipelines/{name}/dead-letters/{output}").get(data::letters),
        Route::new("/api/v1/pipelines/{name}/tap").post(control::tap),
        Route::new("/api/v1/jobs/{id}").get(data::job).delete(data::cancel),
        Route::new("/api/v1/plugins").get(data::plugins),
        Route::new("/api/v1/plugins/{name}").get(data::plugin),
        Route::new("/api/v1/reload").post(control::reload),
        Route::new("/api/v1/statistics").post(control::statistics),
        Route::new("/api/v1/log").get(control::log),
        Route::new("/api/v1/tokens").get(token_routes::list).post(token_routes::add),
        Route::new("/api/v1/tokens/{name}").delete(token_routes::revoke),
        Route::new("/api/v1/login-links").post(token_routes::add_link),
    ]
}

pub(super) fn router(context: Context, requests: Arc<Requests>) -> Router {
    let routes =
        api().into_iter().fold(Router::new(), |router, route| router.route(route.path, route.handlers));
    routes
        .merge(pages::routes())
        .fallback(async |uri: Uri| {
            Reply::problem(404, &format!("no route {}", uri.path()), "").into_response()
        })
        // `whole_body` limits it.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn(whole_body))
        .layer(from_fn_with_state(context.clone(), identify))
        .layer(from_fn_with_state(context.clone(), check_host))
        .layer(from_fn(explain))
        .layer(from_fn(add_headers))
        .layer(from_fn_with_state(requests, count))
        .with_state(context)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn document_of_the_api_has_every_route_and_no_other() {
        let document: Value = serde_saphyr::from_str(include_str!("../../../docs/api.yaml")).unwrap();
        let methods = |path: &Value| -> Vec<String> {
            path.as_object().unwrap().keys().filter(|key| *key != "parameters").cloned().collect()
        };
        let paths = document["paths"].as_object().unwrap();
        let documented: BTreeSet<(String, String)> = paths
            .iter()
            .flat_map(|(path, item)| methods(item).into_iter().map(|method| (path.clone(), method)))
            .collect();
        let known = api().into_iter().flat_map(|route| {
            route.methods.into_iter().map(move |method| (route.path.to_owned(), method.to_owned()))
        });
        assert_eq!(documented, known.collect());
    }
}
