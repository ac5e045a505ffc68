//! The settings in force are shown with their origin, and without secrets.

use super::load;
use crate::config::ConfigPlace;

const TEXT: &str = r#"
[server]
tokens = ["0123456789abcdefghij"]
[poll.users]
url = "https://api.example.com/u?key=a-secret"
headers = { "X-Key" = "a-secret" }
query = { key = "a-secret" }
auth = { type = "bearer", token = "a-secret" }
[hook.github]
scheme = "github"
secrets = ["a-secret-of-a-hook"]
"#;

#[test]
fn every_setting_has_its_origin_and_no_secret_is_shown() {
    let variables = [("LAKEHOOK_BATCH__MAX_AGE", "60s")];
    let loaded = load(TEXT, &variables).unwrap();
    let find = |section: &str, key: &str| {
        let mut all = loaded.effective.iter();
        let found = all.find(|setting| setting.section == section && setting.key == key);
        let found = found.unwrap_or_else(|| panic!("{section}.{key}"));
        (found.value.as_str(), &found.origin)
    };
    let (value, origin) = find("batch", "max_age");
    assert_eq!(value, "\"60s\"");
    assert_eq!(
        *origin,
        ConfigPlace::Variable("LAKEHOOK_BATCH__MAX_AGE".to_owned())
    );
    let (value, origin) = find("server", "listen");
    assert_eq!(value, "\"127.0.0.1:4000\"");
    assert!(matches!(origin, ConfigPlace::Default(_)), "{origin:?}");
    let (value, origin) = find("server", "tokens");
    assert_eq!(value, "[\"***\"]");
    assert!(
        matches!(origin, ConfigPlace::Key { line: Some(3), .. }),
        "{origin:?}"
    );
    assert_eq!(
        find("poll.users", "url").0,
        "\"https://api.example.com/u?***\""
    );
    assert_eq!(find("poll.users", "headers").0, "{ X-Key = \"***\" }");
    assert_eq!(find("poll.users.auth", "token").0, "\"***\"");
    assert_eq!(find("hook.github", "secrets").0, "[\"***\"]");
    let shown = format!("{:?}", loaded.effective);
    assert!(
        !shown.contains("a-secret") && !shown.contains("0123456789"),
        "{shown}"
    );
}
