//! Who may look, and who may do something.

use std::os::unix::fs::PermissionsExt as _;

use super::{Stage, VIEWS, Visitor};

const TOKEN: &str = "a-token-for-the-console";

#[test]
fn pages_are_for_this_machine_by_name_and_never_leave_their_frame() {
    let stage = Stage::new("console_hosts = [\"console.example.com\"]");
    let _program = stage.setup.start();
    for path in VIEWS {
        let answer = stage.ask("GET", path, &[], "");
        assert_eq!(answer.status, 200, "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "form-action 'self'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let text = answer.text();
        assert!(
            !text.contains(" style=") && !text.contains("<style") && !text.contains(" onclick"),
            "{path}"
        );
        assert_eq!(
            text.matches("<script").count(),
            text.matches("<script src=\"/").count(),
            "{path}"
        );
    }
    let by_name = |host: &str| {
        let mut connection =
            crate::support::http::Connection::open(stage.address, super::LIMIT * 50).unwrap();
        connection
            .send_raw(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes())
            .unwrap();
        connection.read_answer(false).unwrap().status
    };
    for host in ["localhost:1", "127.0.0.1", "[::1]", "console.example.com"] {
        assert_eq!(by_name(host), 200, "{host}");
    }
    for host in ["rebound.example.com", "example.com:4002"] {
        assert_eq!(by_name(host), 421, "{host}");
    }
    for method in ["PUT", "DELETE", "OPTIONS"] {
        assert_eq!(stage.ask(method, "/", &[], "").status, 405, "{method}");
    }
    assert_eq!(stage.ask("GET", "/nowhere", &[], "").status, 404);
    // The service itself has no page at its own address.
    let own = crate::support::http::get(stage.setup.address(), "/").unwrap();
    assert_eq!(own.status, 404);
}

#[test]
fn a_form_counts_only_from_a_page_of_the_console() {
    let stage = Stage::new("");
    let _program = stage.setup.start();
    let page = stage.ask("GET", "/sources", &[], "");
    let cookie = page.header("set-cookie").unwrap();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    let visitor = Visitor::of(&page);
    let form = ("content-type", "application/x-www-form-urlencoded");
    let own = format!("http://{}", stage.address);
    let cases = [
        vec![form],
        vec![form, ("cookie", &visitor.cookie)],
        vec![
            form,
            ("cookie", &visitor.cookie),
            ("origin", "https://evil.example.com"),
        ],
        vec![
            form,
            ("cookie", &visitor.cookie),
            ("origin", &own),
            ("sec-fetch-site", "cross-site"),
        ],
        vec![form, ("origin", &own)],
    ];
    for headers in cases {
        let answer = stage.ask("POST", "/logout", &headers, "proof=00");
        assert_eq!(answer.status, 403, "{headers:?}");
    }
}

#[test]
fn beyond_this_machine_there_is_no_console_without_a_token() {
    let stage = Stage::new("");
    let setup = stage
        .setup
        .env("LAKEHOOK_SERVER__CONSOLE_LISTEN", "0.0.0.0:0");
    let checked = setup.run(&["check"]);
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(
        !checked.status.success() && said.contains("server.console_token_file"),
        "{said}"
    );
}

#[test]
fn whoever_has_a_token_logs_in_and_out_and_nobody_else_sees_anything() {
    let stage = Stage::new("console_token_file = \"console-token\"");
    let file = stage.setup.directory().join("console-token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let program = stage.setup.start();
    for path in VIEWS.iter().chain(&["/live/overview", "/nowhere"]) {
        let answer = stage.ask("GET", path, &[], "");
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, Some("/login")),
            "{path}"
        );
        assert!(answer.body.is_empty());
    }
    let login = stage.ask("GET", "/login", &[], "");
    let visitor = Visitor::of(&login);
    let wrong = visitor.send(&stage, "/login", &[("token", "a-token-for-the-consolf")]);
    assert_eq!(wrong.status, 401);
    assert_eq!(
        visitor.send(&stage, "/nowhere", &[]).header("location"),
        Some("/login")
    );
    let entered = visitor.send(&stage, "/login", &[("token", TOKEN)]);
    assert_eq!(
        (entered.status, entered.header("location")),
        (303, Some("/"))
    );
    let inside = Visitor::of(&entered);
    assert_ne!(inside.cookie, visitor.cookie);
    let page = stage.ask("GET", "/", &[("cookie", &inside.cookie)], "");
    assert!(
        page.status == 200 && page.text().contains("Log out"),
        "{}",
        page.text()
    );
    // The cookie from before the login opens nothing.
    assert_eq!(
        stage
            .ask("GET", "/", &[("cookie", &visitor.cookie)], "")
            .status,
        303
    );
    let proof = Visitor::of(&page).proof;
    let inside = Visitor { proof, ..inside };
    assert_eq!(inside.send(&stage, "/logout", &[]).status, 303);
    assert_eq!(
        stage
            .ask("GET", "/", &[("cookie", &inside.cookie)], "")
            .status,
        303
    );
    // A program shows its token with each request.
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(
        stage
            .ask("GET", "/sources", &[("authorization", &bearer)], "")
            .status,
        200
    );
    // A token that is replaced lets nobody in any more.
    std::fs::write(&file, "another-token-of-16\n").unwrap();
    program.hang_up();
    let begin = std::time::Instant::now();
    while stage
        .ask("GET", "/", &[("authorization", &bearer)], "")
        .status
        == 200
    {
        assert!(begin.elapsed().as_secs() < 20, "{}", stage.setup.stderr());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn an_address_that_is_taken_costs_nothing_but_the_console() {
    // Two services of one machine with the usual address: one of them has no console, and says so.
    let address = "127.0.0.1:4002";
    let taken = std::net::TcpListener::bind(address);
    let stage = Stage::new("");
    let setup = stage.setup;
    // Set by nobody.
    std::fs::write(setup.directory().join("none"), "").unwrap();
    let mut command = setup.command(&["serve"]);
    command.env_remove("LAKEHOOK_SERVER__CONSOLE_LISTEN");
    let errors = std::fs::File::create(setup.directory().join("said")).unwrap();
    let mut child = command.stderr(errors).spawn().unwrap();
    let begin = std::time::Instant::now();
    while !crate::support::http::get(setup.address(), "/ready")
        .is_ok_and(|answer| answer.status == 200)
    {
        assert!(begin.elapsed().as_secs() < 60);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let said = std::fs::read_to_string(setup.directory().join("said")).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    if taken.is_ok() {
        assert!(
            said.contains("no console") && said.contains(address),
            "{said}"
        );
    }
}
