//! The console: who may look, what the pages say, and that they look right in a real browser.

mod browser;
mod demo;
mod find;
mod guards;
mod lake;
mod load;
mod polls;
mod quarantine;
mod views;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::support::http::{Answer, Connection};
use crate::support::process::{Setup, free_address};

/// Every view, by its path.
const VIEWS: [&str; 10] = [
    "/",
    "/find",
    "/live",
    "/sources",
    "/polls",
    "/quarantine",
    "/lake",
    "/query",
    "/contract",
    "/node",
];

/// A view answers within this time, and a form too.
const LIMIT: Duration = Duration::from_millis(200);

/// A service with a console.
struct Stage {
    setup: Setup,
    address: SocketAddr,
}

impl Stage {
    /// The configuration has small logs; `more` is further TOML, whose first lines are of `[server]`.
    fn new(more: &str) -> Self {
        let address = free_address();
        let config = format!(
            "[server]\n{more}\n[lake]\nurl = \"lake\"\n[wal]\ndir = \"wal\"\nmax_bytes = \"64 MiB\"\n"
        );
        let setup = Setup::new(&config);
        let setup = setup.env("LAKEHOOK_SERVER__CONSOLE_LISTEN", &address.to_string());
        Self { setup, address }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A request with these headers on a connection of its own.
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut connection = Connection::open(self.address, Duration::from_secs(20)).unwrap();
        connection
            .request(method, path, headers, body.as_bytes())
            .unwrap()
    }

    /// A page, which must come in time.
    fn page(&self, path: &str) -> String {
        let begin = Instant::now();
        let answer = self.ask("GET", path, &[], "");
        let took = begin.elapsed();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert!(took < LIMIT, "{path} took {took:?}");
        answer.text()
    }

    /// A page, once nothing of it is still being read.
    fn whole_page(&self, path: &str) -> String {
        self.page_until(path, |page| !page.contains("http-equiv=\"refresh\""))
    }

    /// A page, once it is as it is wanted. Each answer on the way must come in time.
    fn page_until(&self, path: &str, is_wanted: impl Fn(&str) -> bool) -> String {
        let begin = Instant::now();
        loop {
            let page = self.page(path);
            if is_wanted(&page) {
                return page;
            }
            assert!(
                begin.elapsed() < Duration::from_secs(60),
                "{path} stays {page}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The first link of a page with this in it, as it is followed.
fn link_with(page: &str, part: &str) -> String {
    let mut links = page
        .split("href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap());
    let link = links.find(|link| link.contains(part));
    let link = link.unwrap_or_else(|| panic!("no link with {part} in {page}"));
    link.replace("&amp;", "&")
}

/// What a browser knows of a page: the cookie that came with it, and the proof in its forms.
struct Visitor {
    cookie: String,
    proof: String,
}

impl Visitor {
    fn of(page: &Answer) -> Self {
        let cookie = page.header("set-cookie").unwrap_or_default();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let text = page.text();
        let proof = text.split("name=\"proof\" value=\"").nth(1);
        let proof = proof.and_then(|rest| rest.split('"').next());
        Self {
            cookie,
            proof: proof.unwrap_or_default().to_owned(),
        }
    }

    fn send(&self, stage: &Stage, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("proof", &self.proof).extend_pairs(fields);
        let origin = format!("http://{}", stage.address);
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("origin", origin.as_str()),
            ("cookie", self.cookie.as_str()),
        ];
        stage.ask("POST", path, &headers, &form.finish())
    }
}
