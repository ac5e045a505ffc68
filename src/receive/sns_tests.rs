#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;
use crate::receive::certificate::public_key;

/// Messages that openssl has signed as SNS does, one on a line, and the certificate of that key.
const MESSAGES: &str = include_str!("../../tests/fixtures/sns/messages.ndjson");
const CERTIFICATE: &[u8] = include_bytes!("../../tests/fixtures/sns/certificate.pem");
/// An hour after the messages.
const NOW: Micros = Micros(1_795_179_600_000_000);
const TOLERANCE: Duration = Duration::from_secs(300);

fn verify(text: &str, now: Micros) -> Result<(), Unsigned> {
    use tokio_rustls::rustls::pki_types::CertificateDer;
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;
    let message = SnsMessage::read(text.as_bytes())?;
    message.check_time(now, TOLERANCE)?;
    let (algorithm, signature) = message.claim()?;
    let der = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let key = algorithm.key(public_key(&der).unwrap()).unwrap();
    let is_signed = key.verifies(message.signed()?.as_bytes(), &signature);
    is_signed.then_some(()).ok_or(Unsigned::Invalid)
}

#[test]
fn messages_of_both_versions_and_confirmations_are_verified() {
    assert_eq!(MESSAGES.lines().count(), 3);
    for text in MESSAGES.lines() {
        assert_eq!(verify(text, NOW), Ok(()), "{text}");
        let marked = format!("\u{feff}{text}");
        assert_eq!(verify(&marked, NOW), Ok(()));
    }
}

#[test]
fn whatever_is_signed_cannot_be_changed() {
    for text in MESSAGES.lines() {
        let whole: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).unwrap();
        for (name, value) in &whole {
            let changed = |value: Option<serde_json::Value>| {
                let mut changed = whole.clone();
                match value {
                    Some(value) => _ = changed.insert(name.clone(), value),
                    None => _ = changed.remove(name),
                }
                serde_json::to_string(&changed).unwrap()
            };
            let longer = format!("{}x", value.as_str().unwrap());
            assert!(
                verify(&changed(Some(longer.into())), NOW).is_err(),
                "{name}"
            );
            assert!(verify(&changed(None), NOW).is_err(), "{name}");
            assert!(verify(&changed(Some(7.into())), NOW).is_err(), "{name}");
            // Two readers could take either.
            let twice = format!("{},{:?}:{value}}}", &text[..text.len() - 1], name);
            assert_eq!(verify(&twice, NOW), Err(Unsigned::Missing), "{name}");
        }
        let more = format!("{},\"More\":1}}", &text[..text.len() - 1]);
        assert_eq!(verify(&more, NOW), Ok(()));
    }
}

#[test]
fn messages_are_taken_as_long_as_sns_delivers_them() {
    let text = MESSAGES.lines().next().unwrap();
    let later = |seconds: i64| Micros(NOW.0 + seconds * 1_000_000);
    for (seconds, expected) in [
        (-3900, Ok(())),
        (-3901, Err(Unsigned::Stale)),
        (300, Ok(())),
        (301, Err(Unsigned::Stale)),
    ] {
        assert_eq!(verify(text, later(seconds)), expected, "{seconds}");
    }
}

#[test]
fn only_sns_itself_is_asked() {
    for url in [
        "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&Token=1",
        "https://sns.cn-north-1.amazonaws.com.cn/?Action=ConfirmSubscription",
    ] {
        assert!(is_of_sns(url) && !is_certificate(url), "{url}");
    }
    for url in [
        "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem",
        "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-0.pem",
    ] {
        assert!(is_certificate(url), "{url}");
    }
    for url in [
        "",
        "http://sns.us-east-1.amazonaws.com/a.pem",
        "https://sns.us-east-1.amazonaws.com",
        "https://sns.amazonaws.com/a.pem",
        "https://sns.a.b.amazonaws.com/a.pem",
        "https://sns.us-east-1.amazonaws.com:444/a.pem",
        "https://sns.us-east-1.amazonaws.com@evil.example.com/a.pem",
        "https://sns.us-east-1.amazonaws.com.evil.example.com/a.pem",
        "https://sns.s3.amazonaws.com.cn.evil/a.pem",
        "https://evil.example.com/sns.us-east-1.amazonaws.com/a.pem",
        "https://sns.us-east-1.amazonaws.com\\@evil.example.com/a.pem",
        "https://sns.us-east-1.amazonaws.com#@evil.example.com/a.pem",
        "https://sns.us-east-1.amazonaws.com?.evil.example.com/a.pem",
    ] {
        assert!(!is_of_sns(url) && !is_certificate(url), "{url}");
    }
    for url in [
        "https://sns.us-east-1.amazonaws.com/a.pem?b",
        "https://sns.us-east-1.amazonaws.com/a/b.pem",
        "https://sns.us-east-1.amazonaws.com/../b.pem",
        "https://sns.us-east-1.amazonaws.com/%2e.pem",
        "https://sns.us-east-1.amazonaws.com/.pem",
        "https://sns.us-east-1.amazonaws.com/a.txt",
    ] {
        assert!(!is_certificate(url), "{url}");
    }
}
