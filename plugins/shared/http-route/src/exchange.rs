//! Requests of a route, with failures that are classified.

use std::time::Duration;

use reqwest::{RequestBuilder, Response};

use crate::classify::classify;
use crate::http_error::{Cause, HttpError, Peer};
use crate::route::Route;

impl Route {
    /// Sends a request of this route's client, and returns the response without its body.
    ///
    /// # Errors
    /// The peer that failed, and why.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, HttpError> {
        // Lets the runtime poll the idle connection, so that a close by the peer is noticed before it is reused.
        tokio::time::sleep(Duration::from_millis(1)).await;
        match request.send().await {
            Ok(response) => Ok(response),
            Err(error) => Err(classify(self, &error).await),
        }
    }

    /// The next piece of a body; `None` at its end.
    ///
    /// # Errors
    /// The peer that failed, and why.
    pub async fn chunk(
        &self,
        response: &mut Response,
    ) -> Result<Option<impl AsRef<[u8]> + use<>>, HttpError> {
        match response.chunk().await {
            Ok(piece) => Ok(piece),
            Err(error) => Err(classify(self, &error).await),
        }
    }

    /// The destination failed for this reason.
    #[must_use]
    pub fn failed(&self, cause: Cause) -> HttpError {
        HttpError { peer: Peer::Destination, address: self.address.clone(), cause, wording: self.wording }
    }
}
