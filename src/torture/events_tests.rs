use super::*;

const NOW: Micros = Micros(1_795_000_000_000_000);

fn source(seed: u64) -> Source {
    Source::new(seed, NOW)
}

#[test]
fn everything_follows_from_seed_and_number() {
    for request in 0..200 {
        assert_eq!(
            source(7).body(request, false),
            source(7).body(request, false)
        );
        assert_ne!(
            source(7).body(request, false),
            source(8).body(request, false)
        );
    }
    // The same day is enough: a seed replays its bodies.
    let later = Micros(NOW.0 + 1000);
    assert_eq!(source(7).body(3, true), Source::new(7, later).body(3, true));
}

#[test]
fn an_id_leads_back_to_its_number_and_a_foreign_one_nowhere() {
    let source = source(7);
    for number in [0, 1, 19, 20, 12_345_678] {
        let id = source.event(number).id;
        assert_eq!(source.number_of(&id.to_string()), Some(number));
    }
    let foreign = self::source(8).event(5).id.to_string();
    assert_eq!(source.number_of(&foreign), None);
    assert_eq!(source.number_of("no id"), None);
}

#[test]
fn there_are_requests_of_every_kind_and_each_body_is_what_it_claims() {
    let source = source(7);
    let mut kinds = [0; 3];
    for request in 0..500 {
        let kind = source.kind(request);
        kinds[kind as usize] += 1;
        let body = source.body(request, false);
        let parsed = serde_json::from_slice::<Value>(&body);
        assert_eq!(parsed.is_ok(), kind != RequestKind::Cut);
        let refused = source.refused_request(&body, |_| Some(false));
        assert_eq!(refused, (kind != RequestKind::Sound).then_some(request));
        assert_eq!(source.refused_request(&body, |_| Some(true)), None);
    }
    assert!(kinds.iter().all(|count| *count > 0), "{kinds:?}");
    assert!((0..200).any(|request| source.is_repeated(request)));
    assert!((0..200).any(|request| source.is_contested(request)));
}

#[test]
fn a_contest_has_an_id_that_is_stored_and_other_content() {
    let source = source(7);
    for request in 0..20 {
        let event = source.event(Source::contested(request));
        let contest = source.contest(request);
        assert!(Source::numbers(request).contains(&Source::contested(request)));
        assert!(!event.is_dropped());
        assert_eq!(contest["event_id"], event.sent["event_id"]);
        assert_ne!(contest, event.sent);
    }
}

#[test]
fn a_row_has_the_users_id_and_the_user_apart() {
    let row = source(7).event(1).row(false);
    assert_eq!(row["user_id"], "user-1");
    assert_eq!(row["user"]["name"], "Ada");
    let row = source(7).event(2).row(true);
    assert!(row["user"].is_null() && row["user_id"].is_string());
    assert!(row["properties"]["padding"].as_str().unwrap().len() > 10_000);
}
