//! What a token says, and what it proves.

use jiff::{SignedDuration, Timestamp};
use pgha_core::oidc::{Check, Claims, Compact, IdToken, Issuer, Outcome, Proof, Reviewed, Verdict};
use serde::Serialize;
use serde_json::{Map, Value};

use super::API_VERSION;
use crate::ui::{Detail, Page, Span, Style, Table, View, instant, period};

/// What comes first, in this order; all others follow by name.
const FIRST: [&str; 10] = [
    "iss",
    "aud",
    "azp",
    "sub",
    "exp",
    "iat",
    "nbf",
    "auth_time",
    "email",
    "groups",
];

/// The claims that are points in time.
const TIMES: [&str; 5] = ["exp", "iat", "nbf", "auth_time", "updated_at"];

/// Whether an API server lets the bearer in.
#[derive(Clone, Debug)]
pub(crate) struct ApiServer {
    pub(crate) context: String,
    pub(crate) reviewed: Option<Reviewed>,
    pub(crate) because: Option<String>,
}

/// A token and what became of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenCheckView<'a> {
    api_version: &'static str,
    kind: &'static str,
    /// Whether the signature is the issuer's.
    verified: bool,
    /// Whether every check holds besides.
    proved: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<&'static str>,
    token: TokenView<'a>,
    claims: &'a Map<String, Value>,
    checks: Vec<CheckView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_offset_seconds: Option<i64>,
    api_servers: Vec<ApiServerView<'a>>,
    #[serde(skip)]
    now: Timestamp,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenView<'a> {
    /// Tells two tokens apart and is of no other use.
    mark: String,
    algorithm: Option<&'a str>,
    key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_by: Option<&'a str>,
    /// Members of the header that would name or bring a key. None was followed.
    own_keys: &'a [&'static str],
}

#[derive(Clone, Debug, Serialize)]
struct CheckView<'a> {
    name: &'a str,
    result: &'static str,
    seen: &'a str,
}

#[derive(Clone, Debug, Serialize)]
struct ApiServerView<'a> {
    context: &'a str,
    accepted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    groups: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<&'a str>,
}

/// Shows a token of which nothing was verified.
pub(crate) fn decoded<'a>(
    token: &'a Compact,
    claims: &'a Map<String, Value>,
    now: Timestamp,
) -> TokenCheckView<'a> {
    TokenCheckView {
        api_version: API_VERSION,
        kind: "TokenCheck",
        verified: false,
        proved: false,
        proof: None,
        token: TokenView::new(token, None),
        claims,
        checks: Vec::new(),
        clock_offset_seconds: None,
        api_servers: Vec::new(),
        now,
    }
}

impl<'a> TokenCheckView<'a> {
    /// Shows a token with its checks.
    pub(crate) fn new(
        token: &'a IdToken,
        verdict: &'a Verdict,
        issuer: &Issuer,
        api_servers: &'a [ApiServer],
        now: Timestamp,
    ) -> Self {
        let refused = api_servers.iter().any(|server| server.because.is_some());
        let proved = verdict.is_proved() && !refused;
        let offset = issuer.clock_offset;
        Self {
            verified: verdict.signed_by.is_some(),
            proved,
            proof: proved.then(|| verdict.proof.name()),
            token: TokenView::new(&token.compact, verdict.signed_by.as_deref()),
            checks: verdict.checks.iter().map(CheckView::of).collect(),
            clock_offset_seconds: offset.map(|offset| offset.as_secs()),
            api_servers: api_servers.iter().map(ApiServerView::of).collect(),
            ..decoded(&token.compact, &token.claims.0, now)
        }
    }

    fn headline(&self) -> [Span; 2] {
        if self.checks.is_empty() {
            let text =
                ": this is only what the token says. Anybody can write one that says the same.";
            return [
                Span::new("NOTHING WAS VERIFIED", Style::Bad),
                Span::plain(text),
            ];
        }
        match self.proof {
            Some(proof) => [
                Span::new(format!("Proved: {proof}"), Style::Good),
                Span::plain(format!(", {}", meaning(proof))),
            ],
            None => [Span::new("NOT PROVED", Style::Bad), Span::plain("")],
        }
    }

    fn claims(&self) -> Table {
        let mut table = Table::new(vec!["CLAIM", "VALUE", "MEANS"]);
        let others = self.claims.keys().map(String::as_str);
        let others = others.filter(|name| !FIRST.contains(name));
        for name in FIRST.into_iter().chain(others) {
            if let Some(value) = self.claims.get(name) {
                table.row([
                    Span::plain(name),
                    Span::plain(shown(value)),
                    Span::plain(self.time(name).unwrap_or_default()),
                ]);
            }
        }
        table
    }

    /// A point in time as a date and as its distance from now.
    fn time(&self, name: &str) -> Option<String> {
        let time = TIMES.contains(&name).then(|| self.claims.get(name))?;
        let only = Claims(Map::from_iter([(name.to_owned(), time?.clone())]));
        let time = only.time(name).ok()??;
        let distance = time.duration_since(self.now);
        let length = length(distance);
        Some(if distance.is_negative() {
            format!("{}, {length} ago", instant(time))
        } else {
            format!("{}, in {length}", instant(time))
        })
    }

    fn header(&self) -> Table {
        let mut table = Table::new(vec!["HEADER", "VALUE"]);
        let token = &self.token;
        for (name, value) in [
            ("alg", token.algorithm.unwrap_or_default()),
            ("kid", token.key_id.unwrap_or_default()),
            ("not followed", &token.own_keys.join(", ")),
            ("SHA-256 begins with", &token.mark),
        ] {
            table.row([name, value].map(Span::plain));
        }
        table
    }

    fn results(&self) -> Table {
        let mut table = Table::new(vec!["RESULT", "CHECK", "SEEN"]);
        for check in &self.checks {
            table.row([
                result(check.result),
                Span::plain(check.name),
                Span::plain(check.seen),
            ]);
        }
        for server in &self.api_servers {
            let seen = match (server.because, server.username) {
                (Some(because), _) => because.to_owned(),
                (None, name) => format!(
                    "lets in {} with the groups {}",
                    name.unwrap_or("nobody"),
                    server.groups.join(", ")
                ),
            };
            table.row([
                result(if server.accepted { "pass" } else { "FAIL" }),
                Span::plain(format!("API server {}", server.context)),
                Span::plain(seen),
            ]);
        }
        table
    }
}

impl View for TokenCheckView<'_> {
    fn page(&self, detail: Detail) -> Page {
        let mut page = Page::of_line(self.headline());
        page.blank();
        page.table(self.claims());
        if detail == Detail::Wide || self.checks.is_empty() {
            page.blank();
            page.table(self.header());
        }
        if !self.checks.is_empty() {
            page.blank();
            page.table(self.results());
        }
        if let Some(offset) = self.clock_offset_seconds.filter(|offset| offset.abs() > 2) {
            page.blank();
            let (far, side) = (offset.abs(), if offset < 0 { "behind" } else { "ahead of" });
            let text = format!("The issuer's clock is {far} s {side} this machine's.");
            page.line([Span::new(text, Style::Warning)]);
        }
        page
    }

    fn names(&self) -> Vec<String> {
        let subject = self.claims.get("sub").and_then(Value::as_str);
        subject.map(str::to_owned).into_iter().collect()
    }
}

impl<'a> TokenView<'a> {
    fn new(token: &'a Compact, signed_by: Option<&'a str>) -> Self {
        Self {
            mark: token.token().mark(),
            algorithm: token.header.algorithm.as_deref(),
            key_id: token.header.key_id.as_deref(),
            signed_by,
            own_keys: &token.header.own_keys,
        }
    }
}

impl<'a> CheckView<'a> {
    fn of(check: &'a Check) -> Self {
        Self {
            name: &check.name,
            result: match check.outcome {
                Outcome::Pass => "pass",
                Outcome::Warn => "warn",
                Outcome::Fail => "FAIL",
            },
            seen: &check.seen,
        }
    }
}

impl<'a> ApiServerView<'a> {
    fn of(server: &'a ApiServer) -> Self {
        let reviewed = server.reviewed.as_ref();
        Self {
            context: &server.context,
            accepted: reviewed.is_some(),
            username: reviewed.map(|reviewed| reviewed.username.as_str()),
            groups: reviewed.map_or(&[], |reviewed| &reviewed.groups),
            because: server.because.as_deref(),
        }
    }
}

fn result(result: &str) -> Span {
    let style = match result {
        "pass" => Style::Good,
        "warn" => Style::Warning,
        _ => Style::Bad,
    };
    Span::new(result, style)
}

/// A list of texts without its quotes, anything else as it is in JSON.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) if list.iter().all(Value::is_string) => {
            let texts: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            texts.join(", ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

fn length(distance: SignedDuration) -> String {
    let length = distance.unsigned_abs();
    let days = length.as_secs() / 86_400;
    if days < 2 {
        return period(length);
    }
    format!("{days} d {} h", length.as_secs() % 86_400 / 3600)
}

fn meaning(proof: &str) -> &'static str {
    let is = |one: Proof| one.name() == proof;
    if is(Proof::FreshLogin) {
        "the login page worked"
    } else if is(Proof::RefreshedSession) {
        "issued for a login from before: the login page is not proved"
    } else if is(Proof::NewToken) {
        "it does not say when the login was"
    } else {
        "from before and still verifies: no login is proved"
    }
}
