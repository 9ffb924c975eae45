//! One question from its begin to its end.

use std::time::Duration;

use async_trait::async_trait;
use http::{Request, Uri, header};
use http_body_util::Full;
use hyper::body::Bytes;
use pgha_nlb::probe::Answer;
use pgha_nlb::text::one_line;
use pgha_nlb::{Probe, Sample};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::time::Instant;

use crate::evidence::{Response, judge};
use crate::{Family, HttpProbe};

/// More of a body than this is not searched, in bytes.
const LARGEST_BODY: usize = 1024 * 1024;

#[async_trait]
impl Probe for HttpProbe {
    fn asks(&self) -> String {
        let family = match self.settings.family {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        };
        let through = self
            .settings
            .connect_to
            .as_ref()
            .map(|to| format!(" at {to}"));
        format!(
            "{} over {family}{}",
            self.settings.url,
            through.unwrap_or_default()
        )
    }

    async fn sample(&self, within: Duration) -> Sample {
        let begun = Instant::now();
        let mut address = None;
        let answer = match tokio::time::timeout(within, self.ask(&mut address)).await {
            Ok(Ok(response)) => judge(&self.settings.evidence, &response),
            Ok(Err(because)) => Answer::Failed { because },
            Err(_elapsed) => Answer::Failed {
                because: format!("No answer within {:.1} s.", within.as_secs_f64()),
            },
        };
        Sample {
            asked: self.asks(),
            address,
            answer,
            took: begun.elapsed(),
        }
    }
}

impl HttpProbe {
    async fn ask(&self, shown: &mut Option<String>) -> Result<Response, String> {
        let address = self.address().await?;
        *shown = Some(address.to_string());
        let nonce = nonce()?;
        let url: Uri = self
            .settings
            .url
            .replace("{nonce}", &nonce)
            .parse()
            .map_err(|error| format!("The URL cannot be asked: {error}."))?;
        let request = request(&url)?;
        let (connection, key) = self.connect(address).await?;
        let answer = connection.ask(request, LARGEST_BODY).await;
        let (head, body) = answer.map_err(|because| one_line(&because))?.into_parts();
        Ok(Response {
            status: head.status.as_u16(),
            headers: head.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
            key,
            nonce,
        })
    }
}

/// A word that nobody can have seen before.
fn nonce() -> Result<String, String> {
    let mut bytes = [0; 16];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| "The system gives no random numbers.".to_owned())?;
    Ok(hex::encode(bytes))
}

fn request(url: &Uri) -> Result<Request<Full<Bytes>>, String> {
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let host = url.authority().map_or("", |authority| authority.as_str());
    Request::get(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, "kubectl-pgha")
        .header(header::ACCEPT, "*/*")
        .header(header::CACHE_CONTROL, "no-cache")
        .header(header::CONNECTION, "close")
        .body(Full::default())
        .map_err(|error| format!("The URL cannot be asked: {error}."))
}
