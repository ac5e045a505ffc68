//! Webhooks of providers. Each has a path of its own, knows how the provider proves who it is, and maps each body to
//! events.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use serde_json::Value;
use uuid::Uuid;

use super::admission::Proofs;
use super::alarm::Alarm;
use super::cloud_events;
use super::delivery::{BodyForm, Delivery, HookRows};
use super::fields::{FieldSource, WithoutId};
use super::kept_headers::{KeptHeaders, NEVER};
use super::packs::{Challenge, Shape};
use super::repeated::Repeated;
use crate::clock::Micros;
use crate::contract::foreign::{Envelope, Ignored, Scope};
use crate::contract::{Contract, MAX_ERRORS, Refusal};
use crate::ids::Ids;
use crate::instant;
use crate::quarantine::{FieldError, OfHook};
use crate::record::Origin;
use crate::secret::Secret;

/// A provider's webhook.
#[derive(Clone)]
pub struct Hook {
    /// The name of the hook, which is also the source of its events.
    pub name: Arc<str>,
    /// The configured path.
    pub path: Arc<str>,
    /// Whether it is one of several paths of its section.
    pub has_routes: bool,
    /// How a request proves that the provider sent it.
    pub proofs: Proofs,
    /// Whether requests must be for this machine by name, because nobody is authenticated.
    pub checks_host: bool,
    /// Questions by which the provider verifies the URL.
    pub challenges: Vec<Challenge>,
    /// The word that Meta names when it verifies the URL.
    pub verify_token: Option<Secret>,
    /// The most bytes of a body, if they are others than those of every request.
    pub max_body: Option<usize>,
    /// What its bodies are.
    pub shape: Shape,
    /// Members of a body that hold a secret of the sender. They are checked, and not stored.
    pub secret_members: Arc<[Box<str>]>,
    /// Where its events have what the lake has in columns.
    pub places: Places,
    /// Whether an event with a known id is a duplicate, even if its content has changed.
    pub changed_is_duplicate: bool,
    /// Members that are left out when two copies are compared.
    pub ignored: Ignored,
    /// The headers that are kept with each event.
    pub headers: KeptHeaders,
    /// Says when deliveries are refused.
    pub alarm: Arc<Alarm>,
}

/// Where events have what the lake has in columns.
#[derive(Clone, Debug)]
pub struct Places {
    /// The id.
    pub id: FieldSource,
    /// That within which an id is unique, if that is not the hook.
    pub id_within: FieldSource,
    /// What becomes of an event without an id.
    pub without_id: WithoutId,
    /// The type.
    pub event_type: FieldSource,
    /// The type of those events that name none.
    pub default_type: &'static str,
    /// The time.
    pub time: FieldSource,
    /// Whether the provider writes times in UTC without saying so.
    pub times_are_utc: bool,
    /// The user whom it is about.
    pub user: FieldSource,
}

impl Places {
    /// Whether any of them is this header, which holds no credentials.
    pub(super) fn look_at(&self, name: &HeaderName) -> bool {
        let sources = [
            &self.id,
            &self.id_within,
            &self.event_type,
            &self.time,
            &self.user,
        ];
        !NEVER.contains(&name.as_str()) && sources.iter().any(|source| source.looks_at(name))
    }
}

/// What a hook needs to judge a body.
pub(super) struct Judging<'a> {
    pub(super) contract: &'a Contract,
    pub(super) headers: &'a HeaderMap,
    pub(super) form: BodyForm,
    pub(super) origin: &'a Origin,
    pub(super) ids: &'a Ids,
    pub(super) repeated: &'a Repeated,
    /// Whether it was judged before, and is kept already.
    pub(super) is_replay: bool,
}

impl Hook {
    /// Whether what cannot be read is kept and answered with a success: the sender is authenticated and would send the
    /// same again for ever.
    pub(super) fn keeps_unreadable(&self) -> bool {
        self.proofs.authenticate()
    }

    /// Maps a body to rows. Each event becomes the `properties` of one.
    pub(super) fn judge(&self, with: &Judging<'_>, body: &[u8]) -> Result<Delivery, Refusal> {
        let text = match with.form {
            BodyForm::Data => {
                let event = cloud_events::structured(with.headers, with.contract, body);
                event.map(Cow::Owned)
            }
            form => form.json_of(with.contract, with.headers, body),
        };
        let text = match text {
            Ok(text) => text,
            Err(refusal) => return self.unreadable(with, body, refusal).map(Delivery::Events),
        };
        let elements = match self.elements(&text, with) {
            Ok(elements) => elements,
            Err(refusal) => return self.unreadable(with, body, refusal).map(Delivery::Events),
        };
        if let [element] = elements.list.as_slice()
            && let Some(answer) = self.answer_to_body(with.headers, &element.raw)
        {
            return Ok(Delivery::Challenge(answer));
        }
        let scope = with.contract.scope(&self.name, &self.ignored);
        let headers = self.headers.object(with.headers);
        let beside = Beside {
            headers: headers.as_deref(),
            batch: elements.beside.as_deref(),
        };
        let mut judged = HookRows::default();
        judged.checked.rows.changed_is_duplicate = self.changed_is_duplicate;
        let keeps = self.keeps_unreadable() && !with.is_replay;
        let mut all_errors = (Vec::new(), 0);
        for element in &elements.list {
            let room = MAX_ERRORS - all_errors.0.len();
            let (errors, total) =
                with.contract
                    .foreign_errors(&element.raw, &element.pointer, room.max(1));
            if total == 0 {
                self.push(&mut judged, with, &scope, &element.raw, beside);
                continue;
            }
            if keeps {
                let evidence = self.evidence(with.headers, true);
                let raw = element.raw.as_bytes();
                self.keep(&mut judged, with, (&errors, total), raw, &evidence);
            }
            all_errors.0.extend(errors.into_iter().take(room));
            all_errors.1 += total;
        }
        let (errors, errors_total) = all_errors;
        if errors_total > 0 && !keeps {
            return Err(Refusal::Invalid {
                errors,
                errors_total,
            });
        }
        judged.checked.errors = errors;
        judged.checked.errors_total = errors_total;
        Ok(Delivery::Events(judged))
    }

    /// Adds the row of an event.
    fn push(
        &self,
        judged: &mut HookRows,
        with: &Judging<'_>,
        scope: &Scope,
        raw: &str,
        beside: Beside<'_>,
    ) {
        // The text was read as JSON before; numbers too large for this have no fields either.
        let value: Value = serde_json::from_str(raw).unwrap_or_default();
        let find = |source: &FieldSource| source.find(with.headers, &value);
        let places = &self.places;
        let own_id = find(&places.id);
        let id = match (&own_id, places.without_id) {
            (Some(id), _) => match find(&places.id_within) {
                Some(whole) => Cow::Owned(format!("{whole}\n{id}")),
                None => Cow::Borrowed(&**id),
            },
            // It is recognised by its content when it is sent again.
            (None, WithoutId::Content) => {
                let hash = xxhash_rust::xxh3::xxh3_128(&self.ignored.counted(raw));
                Cow::Owned(format!("content {hash:032x}"))
            }
            (None, WithoutId::Fresh) => Cow::Owned(fresh_id(with.ids).to_string()),
        };
        let given_time = find(&places.time);
        let time = given_time.as_deref().and_then(|text| self.time_of(text));
        let time = time.filter(|time| with.contract.is_near(*time, with.origin.received_at));
        let unusable_time = given_time.as_deref().filter(|_| time.is_none());
        judged.unusable_times += u64::from(unusable_time.is_some());
        let user = find(&places.user);
        let envelope = Envelope {
            source: &self.name,
            id: &id,
            provider_id: own_id.as_deref(),
            event_type: &find(&places.event_type).unwrap_or(Cow::Borrowed(places.default_type)),
            user: user.as_deref(),
            time,
            unusable_time: unusable_time.map(cut),
            headers: beside.headers,
            batch: beside.batch,
        };
        let rows = &mut judged.checked.rows;
        with.contract
            .push_foreign(rows, scope, raw, &envelope, with.origin);
        judged.checked.received += 1;
    }

    fn time_of(&self, text: &str) -> Option<Micros> {
        if self.places.times_are_utc {
            instant::parse_in_utc(text)
        } else {
            instant::parse(text)
        }
    }

    /// What becomes of a body that holds no events: a row of the quarantine, or the refusal.
    pub(super) fn unreadable(
        &self,
        with: &Judging<'_>,
        body: &[u8],
        refusal: Refusal,
    ) -> Result<HookRows, Refusal> {
        let Some((errors, errors_total)) = refusal.field_errors() else {
            return Err(refusal);
        };
        if with.is_replay || !self.keeps_unreadable() {
            return Err(refusal);
        }
        let mut judged = HookRows::default();
        let evidence = self.evidence(with.headers, false);
        self.keep(&mut judged, with, (&errors, errors_total), body, &evidence);
        judged.checked.errors = errors.into_owned();
        judged.checked.errors_total = errors_total;
        Ok(judged)
    }

    /// What rows of the quarantine say of this hook.
    pub(super) fn of_hook<'a>(&'a self, headers: &'a str) -> OfHook<'a> {
        OfHook {
            name: &self.name,
            headers,
        }
    }

    /// Keeps what cannot be read, unless the same is kept already.
    fn keep(
        &self,
        judged: &mut HookRows,
        with: &Judging<'_>,
        errors: (&[FieldError], usize),
        raw: &[u8],
        evidence: &str,
    ) {
        let fingerprint = Repeated::fingerprint(&self.name, raw);
        if with.repeated.has(fingerprint) || judged.unreadable.contains(&fingerprint) {
            judged.repeated += 1;
            return;
        }
        judged.unreadable.push(fingerprint);
        let rows = &mut judged.checked.rows;
        with.contract
            .push_unreadable(rows, errors, raw, with.origin, self.of_hook(evidence));
        judged.checked.received += 1;
    }
}

/// What is kept with each event of a request, as JSON objects.
#[derive(Clone, Copy)]
struct Beside<'a> {
    headers: Option<&'a str>,
    batch: Option<&'a str>,
}

/// The beginning of a time that cannot be used, for people.
fn cut(text: &str) -> &str {
    const MAX: usize = 64;
    &text[..text.floor_char_boundary(MAX)]
}

/// A new id, for an event that has none and is never sent again.
pub(super) fn fresh_id(ids: &Ids) -> Uuid {
    let bytes = [ids.dice().to_be_bytes(), ids.dice().to_be_bytes()].concat();
    let bytes = bytes.try_into().unwrap_or_default();
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}
