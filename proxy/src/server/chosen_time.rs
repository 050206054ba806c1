//! Requests whose plugins chose another time for the upstream than their route gives.

use std::time::Duration;

use tokio::time::timeout_at;

use super::flight::Flight;
use super::request::Answer;
use super::rescue::Trouble;

impl Flight {
    /// How long the response's head may take: what a plugin chose, the route's time, or the client's where that is less.
    pub(super) async fn chosen_timeout(&mut self) -> Duration {
        let chosen = self.hand.lock().await.timeout;
        self.within_call(chosen)
    }

    /// Lets the upstream answer within this time; the request's body is in the exchange.
    pub(super) async fn answer_within(&mut self, timeout: Duration) -> Answer {
        let deadline = (self.started() + timeout).into();
        let body = std::mem::take(&mut self.hand.lock().await.message);
        match timeout_at(deadline, Box::pin(self.forward(body))).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(trouble)) => Answer::Reply(self.rescue(&trouble).await),
            Err(_) => self.late(timeout).await,
        }
    }

    /// What answers when the time is over.
    pub(super) async fn late(&mut self, timeout: Duration) -> Answer {
        let reply = self.rescue(&Trouble::Timeout(timeout)).await;
        Answer::Reply(self.fixed_fallback().unwrap_or(reply))
    }
}
