//! Changes of what all hosts run of a plugin. Each stands in the plugin's history with who asked and why.

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, Path, Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::json;
use wasaga_domain::{
    ids::{Digest, PluginName},
    mail::Audit,
    swap::{CanaryPlan, Change, Part, Swap, Swapped},
};

use crate::{
    AppState, MODULE_LIMIT,
    body::JsonBody,
    error::{ApiError, Misfit},
    ports::SagasError,
    query::Push,
    routes::{
        plugin_name,
        verbs::{audit_of, misfit},
    },
};

/// The body, which may be left out but for `activate`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    digest: Option<Digest>,
    canary: Option<CanaryPlan>,
    #[serde(default)]
    undo: bool,
    #[serde(default)]
    force: bool,
    reason: Option<String>,
    by: Option<String>,
}

/// POST /api/v1/plugins: the body is the component.
pub(crate) async fn push(State(shared): AppState, request: Request) -> Result<Response, ApiError> {
    let (push, signature) = (Push::read(request.uri()), signature_of(request.headers()));
    // Before anything is refused: whoever is still sending would not see why.
    let component =
        Bytes::from_request(request, &()).await.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => ApiError::TooLarge(MODULE_LIMIT),
            _ => ApiError::Malformed(format!("the body could not be read: {rejection}")),
        })?;
    let (Push { change, force, by, reason }, signature) = (push?, signature?);
    if let Change::CanaryStarted(plan) = &change
        && let Some(why) = plan.fault()
    {
        return Err(crate::query::bad("canary", &why));
    }
    let by = audit_of("push", reason, by)?;
    if component.is_empty() {
        return Err(ApiError::Malformed("the body is empty, and must be a component".into()));
    }
    let swap = Swap { force, signature, ..Swap::new(change, by) };
    let swapped = shared.plugins.swap(component.into(), &swap).await.map_err(ApiError::of_many)?;
    Ok((StatusCode::CREATED, view(&swapped, swap.change.as_str())).into_response())
}

/// The header `minisig`: the component's `.minisig` in base64, as a header has one line.
fn signature_of(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get("minisig") else { return Ok(None) };
    let bytes = STANDARD.decode(value.as_bytes()).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let malformed = "the header minisig must be the component's .minisig in base64, on one line";
    text.map(Some).ok_or_else(|| ApiError::Malformed(malformed.into()))
}

/// POST /api/v1/plugins/{plugin}/activate, rollback, promote, end-canary or end-undo
pub(crate) async fn swap(
    State(shared): AppState,
    Path((plugin, verb)): Path<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let path = request.uri().path().to_owned();
    let name = plugin_name(&plugin)?;
    let limit = shared.body_limit;
    let mut ask = match JsonBody::optional(request, limit).await? {
        Some(body) => serde_json::from_value(body.value).map_err(|error| {
            ApiError::Malformed(format!(
                "the body must be {{digest, canary?, undo?, force?, reason?, by?}}: {error}"
            ))
        })?,
        None => Ask::default(),
    };
    let by = audit_of(&verb, ask.reason.take(), ask.by.take())?;
    let known = shared.plugins.plugin(&name).await.map_err(ApiError::of_many)?;
    if known.is_none() {
        return Err(ApiError::UnknownPlugin(plugin));
    }
    let force = ask.force;
    let made = |swapped: Result<Swapped, SagasError>, change| {
        swapped.map(|swapped| view(&swapped, change)).map_err(ApiError::of_many)
    };
    let view = match verb.as_str() {
        "activate" => {
            let (digest, swap) = ask.activate(by)?;
            let change = swap.change.as_str();
            made(shared.plugins.swap_kept(&name, digest, &swap).await, change)?
        }
        "rollback" => {
            ask.is_plain(true)?;
            let change = Change::RolledBack.as_str();
            made(shared.plugins.roll_back(&name, by, force).await, change)?
        }
        "promote" => {
            ask.is_plain(true)?;
            let change = Change::CanaryPromoted.as_str();
            made(shared.plugins.promote(&name, by, force).await, change)?
        }
        "end-canary" | "end-undo" => {
            ask.is_plain(false)?;
            let part = if verb == "end-canary" { Part::Canary } else { Part::Undo };
            shared.plugins.end(&name, part, &by).await.map_err(ApiError::of_many)?;
            ended(&name, part)
        }
        _ => return Err(ApiError::UnknownRoute(path)),
    };
    Ok(view.into_response())
}

impl Ask {
    fn activate(self, by: Audit) -> Result<(Digest, Swap), ApiError> {
        let Self { digest, canary, undo, force, .. } = self;
        let digest =
            digest.ok_or_else(|| misfit("/digest", "must be there: the module, as sha256:…"))?;
        let change = match (canary, undo) {
            (None, false) => Change::Activated,
            (Some(plan), false) => match plan.fault() {
                Some(why) => return Err(misfit("/canary", &why)),
                None => Change::CanaryStarted(plan),
            },
            (None, true) => Change::UndoTakenOver,
            (Some(_), true) => return Err(misfit("/undo", "say canary or undo, not both")),
        };
        Ok((digest, Swap { force, ..Swap::new(change, by) }))
    }

    /// What belongs to `activate` alone is not there.
    fn is_plain(&self, may_force: bool) -> Result<(), ApiError> {
        let only = "only activate takes it";
        let wrong = [
            ("/digest", self.digest.is_some(), only),
            ("/canary", self.canary.is_some(), only),
            ("/undo", self.undo, only),
            ("/force", self.force && !may_force, "there is nothing to force"),
        ];
        let wrong = wrong.into_iter().filter(|(_, is_there, _)| *is_there);
        let wrong: Vec<_> = wrong.map(|(at, _, why)| Misfit::new(at, why)).collect();
        if wrong.is_empty() { Ok(()) } else { Err(ApiError::Invalid(wrong)) }
    }
}

fn view(swapped: &Swapped, change: &str) -> Json<serde_json::Value> {
    let Swapped { plugin, version, digest, previous, generation } = swapped;
    Json(json!({
        "plugin": plugin, "version": version, "digest": digest, "change": change, "previous": previous,
        "generation": generation,
    }))
}

fn ended(plugin: &PluginName, part: Part) -> Json<serde_json::Value> {
    Json(json!({ "plugin": plugin, "change": part.ended() }))
}
