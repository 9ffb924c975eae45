//! A token for a client itself.

use pgha_core::oidc::Grant;
use serde::Serialize;

use super::API_VERSION;
use crate::ui::{Detail, Page, Span, Style, View, period};

/// What a client got for itself: no person has logged in.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClientTokenView {
    api_version: &'static str,
    kind: &'static str,
    /// Tells two tokens apart and is of no other use.
    mark: String,
    expires_in_seconds: Option<u64>,
}

impl ClientTokenView {
    pub(crate) fn new(granted: &Grant) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "ClientToken",
            mark: granted.access_token.mark(),
            expires_in_seconds: granted.expires_in.map(|time| time.as_secs()),
        }
    }
}

impl View for ClientTokenView {
    fn page(&self, _detail: Detail) -> Page {
        let good_for = self.expires_in_seconds.map_or_else(String::new, |seconds| {
            format!(
                ", good for {}",
                period(std::time::Duration::from_secs(seconds))
            )
        });
        let text = format!(
            " whose SHA-256 begins with {}{good_for}. No person has logged in: it proves the issuer's token endpoint and the \
             client's secret, and nothing of the login page.",
            self.mark
        );
        Page::of_line([
            Span::new("The issuer gave a token", Style::Good),
            Span::plain(text),
        ])
    }

    fn names(&self) -> Vec<String> {
        vec![self.mark.clone()]
    }
}
