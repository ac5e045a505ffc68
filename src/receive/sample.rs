//! An event that the contract takes, and a command that sends it: what a new user tries first.

use crate::clock::Micros;

/// The id of the event.
const ID: &str = "7f1f9a0e-4a4f-4d7a-9c57-0d3b8a6c1e11";
/// A list with this takes any word.
const ANY: &str = "*";

/// An event as the contract wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleEvent {
    is_open: bool,
    event_type: String,
    source: String,
}

impl SampleEvent {
    /// An event of the first type that is stored, from the first source; or any JSON, if the contract is open.
    pub fn new(is_open: bool, types: &[String], dropped: &[String], sources: &[String]) -> Self {
        let is_stored = |word: &&String| *word != ANY && !dropped.contains(word);
        let event_type = types.iter().find(is_stored);
        let source = sources.iter().find(|word| *word != ANY);
        Self {
            is_open,
            event_type: event_type.map_or("click", String::as_str).to_owned(),
            source: source.map_or("web", String::as_str).to_owned(),
        }
    }

    /// A body with the event.
    pub fn body(&self, now: Micros) -> String {
        if self.is_open {
            return "{\"type\":\"hello\",\"text\":\"my first event\"}".to_owned();
        }
        let Self {
            event_type, source, ..
        } = self;
        format!(
            "{{\"events\":[{{\"event_id\":\"{ID}\",\"user_id\":\"u-1\",\n   \"event_type\":\"{event_type}\",\
             \"source\":\"{source}\",\"timestamp\":\"{now}\",\"properties\":{{}}}}]}}"
        )
    }

    /// A command that sends the body to a URL.
    pub fn command(&self, url: &str, needs_token: bool, now: Micros) -> String {
        let token = if needs_token {
            " \\\n  -H \"Authorization: Bearer $TOKEN\""
        } else {
            ""
        };
        let body = self.body(now);
        format!("curl -sS {url} -H 'Content-Type: application/json'{token} \\\n  -d '{body}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn an_event_is_of_a_type_that_is_stored() {
        let types = words(&["*", "signup", "order"]);
        let sample = SampleEvent::new(false, &types, &words(&["signup"]), &words(&["*", "app"]));
        let body = sample.body(Micros(0));
        assert!(
            body.contains("\"event_type\":\"order\",\"source\":\"app\""),
            "{body}"
        );
        let any = SampleEvent::new(false, &words(&["*"]), &[], &words(&["*"]));
        let body = any.body(Micros(0));
        assert!(
            body.contains("\"event_type\":\"click\",\"source\":\"web\""),
            "{body}"
        );
        let open = SampleEvent::new(true, &types, &[], &[]);
        assert!(open.body(Micros(0)).contains("my first event"));
    }
}
