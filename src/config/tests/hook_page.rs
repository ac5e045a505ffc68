//! The page about hooks: its table of providers and the sections to paste are made here, and every section that it shows
//! is taken as it stands.

use std::fmt::Write as _;
use std::path::Path;

use super::load_from;
use crate::receive::packs::{Authenticity, Challenge, GENERIC, PACKS, Pack, Signed};
use crate::signature::{Algorithm, Encoding};

const PAGE: &str = "docs/hooks.md";
const BEGIN: &str = "<!-- begin -->\n";
const END: &str = "<!-- end -->";

fn code(list: &[&str]) -> String {
    let list: Vec<String> = list.iter().map(|text| format!("`{text}`")).collect();
    if list.is_empty() {
        return "–".to_owned();
    }
    list.join(", ")
}

/// How a provider signs, in a few words.
fn how(signed: &Signed) -> String {
    let algorithm = match signed.algorithm {
        Algorithm::HmacSha1 => "HMAC-SHA1",
        Algorithm::HmacSha256 => "HMAC-SHA256",
        Algorithm::HmacSha384 => "HMAC-SHA384",
        Algorithm::HmacSha512 => "HMAC-SHA512",
        Algorithm::Ed25519 => "Ed25519",
        Algorithm::EcdsaP256 => "ECDSA P-256",
        Algorithm::RsaSha256 => "RSA with SHA-256",
        Algorithm::RsaSha1 => "RSA with SHA-1",
    };
    let encoding = match signed.encoding {
        Encoding::Hex => "hex",
        Encoding::Base64 => "base64",
        Encoding::Base64Url => "base64url",
    };
    let header = signed.headers[0];
    format!(
        "{algorithm}, {encoding}, of `{}` in `{header}`",
        signed.template
    )
}

fn row(pack: &Pack) -> String {
    let proofs: Vec<String> = pack
        .proofs
        .iter()
        .map(|proof| match proof {
            Authenticity::Signed(signed) => how(signed),
            Authenticity::Token(header) => format!("the secret in `{header}`"),
            Authenticity::Topics => {
                "Amazon's signature in the body, for the `topics` that are listed".to_owned()
            }
            Authenticity::User => "the secret as the user of `Authorization: Basic`".to_owned(),
            Authenticity::Member => {
                format!(
                    "the secret as the member {} of the body",
                    code(pack.secret_members())
                )
            }
        })
        .collect();
    let proofs = if proofs.is_empty() {
        "what `auth` says".to_owned()
    } else {
        proofs.join("; or ")
    };
    let id = match pack.id {
        ["content"] => "its content".to_owned(),
        ["none"] => "none: each delivery is an event".to_owned(),
        places => code(places),
    };
    format!(
        "| [{}]({}) | `{}` | {} | {id} | {} | {} |",
        pack.title,
        pack.address,
        pack.name,
        proofs,
        code(pack.event_type),
        code(pack.time),
    )
}

fn section(pack: &Pack) -> String {
    let name = pack.name;
    let mut text = format!("### {}\n\n", pack.title);
    let proof = if pack.proofs.is_empty() {
        let sender = "Senders have a token, which `auth` checks; it may be of another kind.";
        writeln!(text, "{sender}").unwrap();
        format!("auth = [{{ type = \"bearer\", secrets_file = \"{name}.bearer\" }}]")
    } else if pack.has_topics() {
        let sender = "Amazon signs messages of everybody's topics: list yours. [More](#messages-of-amazon-sns).";
        writeln!(text, "{sender}").unwrap();
        "topics = [\"arn:aws:sns:eu-west-1:123456789012:sales\"]\n\
         confirm = true   # opens the URL that confirms a subscription to one of them"
            .to_owned()
    } else {
        writeln!(text, "The secret is {}.", pack.secret).unwrap();
        format!("secrets_file = \"{name}.secrets\"")
    };
    write!(
        text,
        "\n```toml\n[hook.{name}]\nscheme = \"{name}\"\n{proof}\n"
    )
    .unwrap();
    if pack.needs_url() {
        let url = format!("https://hooks.example.com/webhook/{name}");
        writeln!(
            text,
            "public_url = \"{url}\"   # exactly as {} knows it",
            pack.title
        )
        .unwrap();
    }
    if pack.challenges.contains(&Challenge::Hub) {
        let line = "verify_token = \"a word of your own\"   # which you give to the provider too\n";
        text.push_str(line);
    }
    text.push_str("```\n");
    text
}

/// The part of the page that follows from the packs.
fn made() -> String {
    let packs = || PACKS.iter().filter(|pack| pack.name != GENERIC.name);
    let mut text = String::from(
        "| provider | `scheme` | authentic by | id | type | time |\n|---|---|---|---|---|---|\n",
    );
    for pack in packs() {
        writeln!(text, "{}", row(pack)).unwrap();
    }
    text.push_str("\n## Sections to paste\n\n");
    let sections: Vec<String> = packs().map(|pack| section(pack)).collect();
    text.push_str(&sections.join("\n"));
    text
}

#[test]
fn the_page_has_every_pack() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (shown, after) = rest.split_once(END).unwrap();
    let made = made();
    if std::env::var_os("LAKEHOOK_RECORD").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
    } else {
        let first = shown
            .lines()
            .zip(made.lines())
            .find(|(old, new)| old != new);
        assert!(shown == made, "run it with LAKEHOOK_RECORD=1: {first:?}");
    }
}

#[test]
fn every_section_on_the_page_is_taken_as_it_stands() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = std::fs::read_to_string(&path).unwrap();
    let blocks = page.split("```toml\n").skip(1);
    let blocks: Vec<&str> = blocks
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(blocks.len() > PACKS.len());
    for block in blocks {
        let dir = tempfile::tempdir().unwrap();
        for line in block.lines() {
            let files = line.split("_file = \"").skip(1);
            for file in files.map(|rest| rest.split('"').next().unwrap()) {
                write_secrets(&dir.path().join(file));
            }
        }
        let loaded = load_from(dir.path(), block, &[]);
        let loaded = loaded.unwrap_or_else(|error| panic!("{block}\n{error}"));
        let open = |warning: &String| warning.contains("takes whatever");
        assert!(
            loaded.warnings.iter().all(open),
            "{block}\n{:?}",
            loaded.warnings
        );
    }
}

/// Providers and protocols, each with the heading of its section.
const TAKEN: [(&str, &str); 79] = [
    ("GitHub", "GitHub"),
    ("GitLab", "GitLab"),
    ("Bitbucket", "Bitbucket"),
    ("Jira", "Jira"),
    ("Linear", "Linear"),
    ("Sentry", "Sentry"),
    ("PagerDuty", "PagerDuty"),
    ("Slack", "Slack"),
    ("Discord", "Discord"),
    ("Zoom", "Zoom"),
    ("Twilio", "Twilio"),
    ("SendGrid", "SendGrid"),
    ("Meta", "Meta (Facebook, Instagram, WhatsApp)"),
    ("Telegram", "Telegram"),
    ("Stripe", "Stripe"),
    ("Paddle", "Paddle"),
    ("Paystack", "Paystack"),
    ("Razorpay", "Razorpay"),
    ("Square", "Square"),
    ("Xero", "Xero"),
    ("Shopify", "Shopify"),
    ("WooCommerce", "WooCommerce"),
    ("HubSpot", "HubSpot"),
    ("Intercom", "Intercom"),
    ("Zendesk", "Zendesk"),
    ("Typeform", "Typeform"),
    ("Calendly", "Calendly"),
    ("DocuSign", "DocuSign Connect"),
    ("Dropbox", "Dropbox"),
    ("Mux", "Mux"),
    ("Standard Webhooks", "Standard Webhooks, Svix"),
    ("Svix", "Standard Webhooks, Svix"),
    ("Segment", "Clients of Segment and RudderStack"),
    ("RudderStack", "Clients of Segment and RudderStack"),
    ("PostHog", "Clients of PostHog"),
    ("CloudEvents", "CloudEvents"),
    ("Amazon SNS", "Amazon SNS"),
    ("Amazon EventBridge", "Amazon EventBridge"),
    ("Azure DevOps", "Azure DevOps"),
    ("Azure Event Grid", "Azure Event Grid"),
    ("Microsoft Graph", "Microsoft Graph"),
    ("n8n", "n8n, Zapier, Make"),
    ("Zapier", "n8n, Zapier, Make"),
    ("Trello", "Trello"),
    ("Convoy", "Convoy"),
    ("Mailchimp", "Mailchimp"),
    ("Gitea", "Gitea, Forgejo"),
    ("Forgejo", "Gitea, Forgejo"),
    ("CircleCI", "CircleCI"),
    ("Buildkite", "Buildkite"),
    ("HCP Terraform", "HCP Terraform"),
    ("Heroku", "Heroku"),
    ("Vercel", "Vercel"),
    ("Webflow", "Webflow"),
    ("Sanity", "Sanity"),
    ("LaunchDarkly", "LaunchDarkly"),
    ("WorkOS", "WorkOS"),
    ("Hookdeck", "Hookdeck"),
    ("LINE", "LINE"),
    ("Telnyx", "Telnyx"),
    ("Customer.io", "Customer.io"),
    ("ElevenLabs", "ElevenLabs"),
    ("Todoist", "Todoist"),
    ("ClickUp", "ClickUp"),
    ("Box", "Box"),
    ("GoCardless", "GoCardless"),
    ("Coinbase Commerce", "Coinbase Commerce"),
    ("Wise", "Wise"),
    ("Lemon Squeezy", "Lemon Squeezy"),
    ("Google Cloud Pub/Sub", "Google Cloud Pub/Sub"),
    ("SendGrid Inbound Parse", "SendGrid Inbound Parse"),
    ("Mailgun", "Mailgun"),
    ("Plaid", "Plaid"),
    ("Vonage", "Vonage"),
    ("Kinde", "Kinde"),
    ("Okta", "Okta"),
    ("Microsoft Teams", "Microsoft Teams"),
    ("Figma", "Figma"),
    ("Twitch", "Twitch EventSub"),
];

/// Every provider has a section to paste, and each section is taken as it stands (the test above).
#[test]
fn at_least_70_providers_are_taken_by_configuration_alone() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = std::fs::read_to_string(&path).unwrap();
    let names: std::collections::BTreeSet<&str> = TAKEN.iter().map(|(name, _)| *name).collect();
    assert!(names.len() == TAKEN.len() && names.len() >= 70);
    for (name, heading) in TAKEN {
        let section = page.split(&format!("\n### {heading}\n")).nth(1);
        let section = section.unwrap_or_else(|| panic!("{name} has no section {heading}"));
        let section = section.split("\n### ").next().unwrap();
        assert!(
            section.contains("```toml\n[hook."),
            "{name}: nothing to paste"
        );
    }
}

/// Writes a file with secrets such as the provider of this name has.
fn write_secrets(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let name = path.file_stem().unwrap().to_str().unwrap();
    let is_basic = path
        .extension()
        .is_some_and(|extension| extension == "passwords");
    let secret = match name {
        "standard" => "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(),
        "discord" => "ab".repeat(32),
        "sendgrid" => {
            let key = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEDr2LjtURuePQzplybdC+u4CwrqDqBaWjcMMsTbhdbcwHBcepxo7yAQGhHPTnlvFYPAZFceEu/1FwCM/QmGUhA==";
            key.to_owned()
        }
        "telnyx" => "4IA4bCafSvufztRW5vdalP4pffUfZvIsxVJq1QrhT3I=".to_owned(),
        "wise" => {
            let key = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAoAdWdDKqsBG5IgYSj4IaQFRrTImTrK6u52NYI7y4pa/mQXTCkpVsrQcIydfFYbZZzLDZvxuq6g/UVA3PL6HhEuriXGu6o6aCEnAjwbU36iwLnFshXIo95H+/nK+ehgu2u0BV2nJUqDcSbKLWFwFVWKboUJl1Jolc7MPQZcswDISS0hGJ5oIIDMKpQiJ6j+0rJLugiS1MF4zQobZ0gONzcgZKs/7atEGnH3SJDxIyWqn10gFFFlgZ4IMs6xjqcGbY2kvncGn4iUL2LrjAyZNZ8PU5Ubm0SmioNDLtZ9HA5NJbImpKNLprqrVYu6JxQhKWmUf97AW8dUPqVQf984xLuQIDAQAB";
            key.to_owned()
        }
        _ if path.extension().is_some_and(|extension| extension == "jwks") => {
            r#"{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#.to_owned()
        }
        "teams" => "c2VjcmV0c2VjcmV0c2VjcmV0".to_owned(),
        _ if is_basic => "user:a long password".to_owned(),
        _ => "a secret that is long enough".to_owned(),
    };
    std::fs::write(path, secret + "\n").unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
