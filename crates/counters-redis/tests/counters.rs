//! The counters against a real server: rates, budgets, and what happens when the server loses data or hangs.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests may")]

use std::time::Duration;

use life_agent_counters_redis::testing::Server;
use life_agent_counters_redis::{RedisAddress, RedisCounters, RedisOptions};
use life_agent_engine::domain::governance::budget::{LimitKind, Limits, Use};
use life_agent_engine::shared_counters::{
    Bucket, BudgetLimits, Charge, RebuiltUse, Reserved, Settlement, SharedCounters,
    SharedReservation, Taken,
};

/// Counters of one journal; each is an instance of its own.
async fn counters(server: &Server, timeout: Duration) -> RedisCounters {
    let address = RedisAddress::parse(&server.address()).unwrap();
    let counters = RedisCounters::start(address, RedisOptions { timeout }).await.unwrap();
    counters.bind("journal");
    counters
}

const PATIENT: Duration = Duration::from_secs(5);

/// Waits until the circuit is closed.
async fn reachable(counters: &RedisCounters) {
    while !counters.status().is_reachable {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn budgets(limits: Limits) -> Vec<BudgetLimits> {
    ["a", "b"].map(|id| BudgetLimits { id: id.to_owned(), limits }).into()
}

fn tokens_per_day(tokens: u64) -> Limits {
    Limits { tokens_per_day: Some(tokens), ..Limits::default() }
}

fn charge(tokens: u64) -> Charge {
    Charge { tokens, cost: 0 }
}

/// Sets both counters as a journal of `upto` rows has them.
async fn rebuild(counters: &RedisCounters, upto: u64, tokens: u64) {
    let now = counters.used(&["a".to_owned()]).await.unwrap().now;
    for id in ["a", "b"] {
        let mut used = Use::default();
        (used.day_tokens, used.day_requests) = (tokens, 1);
        counters.rebuild(id, RebuiltUse { upto, now, used }).await.unwrap();
    }
}

async fn held(counters: &RedisCounters, limits: Limits, tokens: u64) -> SharedReservation {
    match counters.reserve(&budgets(limits), charge(tokens)).await.unwrap() {
        Reserved::Held(reservation) => reservation,
        other => panic!("{other:?}"),
    }
}

/// Tokens of the day in both counters, and requests.
async fn used(counters: &RedisCounters) -> Option<(u64, u64)> {
    let counted = counters.used(&["a".to_owned(), "b".to_owned()]).await.unwrap();
    let uses = counted.uses.into_iter().collect::<Option<Vec<_>>>()?;
    assert_eq!(uses[0], uses[1]);
    Some((uses[0].day_tokens, uses[0].day_requests))
}

fn settlement(reservation: &SharedReservation, rows: (u64, u64), real: Option<u64>) -> Settlement {
    Settlement {
        budgets: vec!["a".to_owned(), "b".to_owned()],
        reservation: reservation.clone(),
        reserved_row: rows.0,
        row: rows.1,
        real: charge(real.unwrap_or_default()),
        released: real.is_none(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_is_shared_by_all_instances() {
    let Some(server) = Server::start() else { return };
    let instances = [counters(&server, PATIENT).await, counters(&server, PATIENT).await];
    // Nothing returns during the test.
    let bucket =
        |name: &str| Bucket { name: name.to_owned(), quota: 1, window: PATIENT * 200, burst: 5 };
    let mut left = Vec::new();
    for n in 0..9 {
        match instances[n % 2].take(&bucket("x")).await.unwrap() {
            Taken::Within { remaining } => left.push(remaining),
            Taken::Exceeded { retry_after } => {
                assert!(retry_after > PATIENT * 100 && retry_after <= PATIENT * 200);
            }
        }
    }
    assert_eq!(left, [4, 3, 2, 1, 0]);
    assert!(matches!(instances[1].take(&bucket("y")).await, Ok(Taken::Within { remaining: 4 })));
    let ttl: i64 = server.run(&["PTTL", "life-agent:{journal}:rate:x"]).trim().parse().unwrap();
    assert!(ttl > 0, "keys expire");
    let fast =
        Bucket { name: "z".to_owned(), quota: u32::MAX, window: Duration::from_secs(1), burst: 1 };
    assert!(matches!(instances[0].take(&fast).await, Ok(Taken::Within { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charge_is_reserved_in_all_budgets_or_in_none() {
    let Some(server) = Server::start() else { return };
    let counters = counters(&server, PATIENT).await;
    let mut pair = budgets(tokens_per_day(100));
    pair[1].limits.requests_per_day = Some(2);
    assert!(matches!(counters.reserve(&pair, charge(1)).await, Ok(Reserved::Missing { .. })));
    rebuild(&counters, 0, 0).await;
    assert!(matches!(counters.reserve(&pair, charge(60)).await, Ok(Reserved::Held(_))));
    let refused = counters.reserve(&pair, charge(1)).await.unwrap();
    assert!(
        matches!(refused, Reserved::Exceeded { budget: 1, limit: LimitKind::RequestsPerDay, .. }),
        "{refused:?}"
    );
    assert_eq!(used(&counters).await, Some((60, 2)));
    let cost = Limits { cost_per_day: Some(1_000_000), ..Limits::default() };
    let dear = Charge { tokens: 1, cost: 1_000_001 };
    let refused = counters.reserve(&budgets(cost), dear).await.unwrap();
    assert!(matches!(refused, Reserved::Exceeded { budget: 0, limit: LimitKind::CostPerDay, .. }));
    // Absurd amounts are refused and not lost in rounding.
    let limits = tokens_per_day(u64::MAX);
    let refused = counters.reserve(&budgets(limits), charge(u64::MAX)).await.unwrap();
    assert!(matches!(refused, Reserved::Exceeded { limit: LimitKind::TokensPerDay, .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_reservations_never_exceed_a_budget_together() {
    let Some(server) = Server::start() else { return };
    let instances = [counters(&server, PATIENT).await, counters(&server, PATIENT).await];
    rebuild(&instances[0], 0, 0).await;
    let pair = budgets(tokens_per_day(100));
    let calls = (0..64).map(|n| instances[n % 2].reserve(&pair, charge(3)));
    let reserved = futures_util::future::join_all(calls).await;
    let fit = reserved.iter().filter(|found| matches!(found, Ok(Reserved::Held(_)))).count();
    assert_eq!(fit, 33);
    assert_eq!(used(&instances[1]).await.unwrap().0, 99);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_settlement_replaces_the_reservation_once() {
    let Some(server) = Server::start() else { return };
    let counters = counters(&server, PATIENT).await;
    rebuild(&counters, 0, 0).await;
    let limits = tokens_per_day(100);
    let first = held(&counters, limits, 50).await;
    let second = held(&counters, limits, 40).await;
    counters.settle(&settlement(&first, (1, 3), Some(7))).await.unwrap();
    assert_eq!(used(&counters).await, Some((47, 3)));
    counters.settle(&settlement(&second, (2, 4), None)).await.unwrap();
    assert_eq!(used(&counters).await, Some((7, 2)), "a call that was not made is no request");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_counter_is_rebuilt_and_includes_each_row_once() {
    let Some(server) = Server::start() else { return };
    let counters = counters(&server, PATIENT).await;
    let limits = tokens_per_day(100);
    let pair = budgets(limits);
    rebuild(&counters, 0, 0).await;
    // Row 5 is written before the loss is noticed, and the rebuilt counter includes it.
    let included = held(&counters, limits, 30).await;
    server.run(&["FLUSHALL"]);
    assert_eq!(used(&counters).await, None);
    assert!(matches!(counters.confirm(&pair, &included, 5).await, Ok(Reserved::Missing { .. })));
    rebuild(&counters, 5, 30).await;
    let confirmed = counters.confirm(&pair, &included, 5).await.unwrap();
    assert!(matches!(confirmed, Reserved::Held(_)));
    assert_eq!(used(&counters).await, Some((30, 1)));
    // The settlement is row 6, which a rebuilt counter includes or not.
    for (upto, before, after) in [(6, 4, 4), (5, 30, 4)] {
        server.run(&["FLUSHALL"]);
        rebuild(&counters, upto, before).await;
        counters.settle(&settlement(&included, (5, 6), Some(4))).await.unwrap();
        assert_eq!(used(&counters).await, Some((after, 1)), "rebuilt from {upto} rows");
    }
    // A settlement of a reservation that the counter never included changes nothing.
    server.run(&["FLUSHALL"]);
    rebuild(&counters, 4, 11).await;
    counters.settle(&settlement(&included, (5, 6), Some(0))).await.unwrap();
    assert_eq!(used(&counters).await, Some((11, 1)));
    // A reservation whose row is later than the rebuilt counter is charged again, or refused if others came first.
    let absent = held(&counters, limits, 20).await;
    server.run(&["FLUSHALL"]);
    rebuild(&counters, 4, 11).await;
    let Reserved::Held(again) = counters.confirm(&pair, &absent, 7).await.unwrap() else {
        panic!("it fits");
    };
    assert_eq!((again.at, used(&counters).await), (absent.at, Some((31, 2))));
    counters.settle(&settlement(&again, (7, 8), Some(1))).await.unwrap();
    assert_eq!(used(&counters).await, Some((12, 2)));
    let absent = held(&counters, limits, 20).await;
    server.run(&["FLUSHALL"]);
    rebuild(&counters, 8, 90).await;
    let refused = counters.confirm(&pair, &absent, 9).await.unwrap();
    assert!(matches!(refused, Reserved::Exceeded { limit: LimitKind::TokensPerDay, .. }));
    assert_eq!(used(&counters).await, Some((90, 1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_copy_of_the_counters_counts_as_missing() {
    let Some(mut server) = Server::start() else { return };
    let before = counters(&server, PATIENT).await;
    rebuild(&before, 0, 0).await;
    let limits = tokens_per_day(100);
    held(&before, limits, 10).await;
    assert_eq!(server.run(&["SAVE"]).trim(), "OK");
    held(&before, limits, 80).await;
    server.kill();
    server.start_again();
    assert!(server.run(&["KEYS", "*"]).contains("budget:a"), "the copy was loaded");
    // An instance that has not seen the restart.
    let after = counters(&server, PATIENT).await;
    let missing = after.reserve(&budgets(limits), charge(80)).await.unwrap();
    assert!(matches!(missing, Reserved::Missing { .. }), "{missing:?}");
    reachable(&before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_costs_one_timeout_and_what_it_did_unseen_is_not_kept() {
    let Some(server) = Server::start() else { return };
    let counters = counters(&server, Duration::from_millis(300)).await;
    rebuild(&counters, 0, 0).await;
    let (limits, pid) = (tokens_per_day(100), server.pid().unwrap().to_string());
    let signal = |name: &str| {
        let sent = std::process::Command::new("kill").args([name, &pid]).status();
        assert!(sent.unwrap().success());
    };
    signal("-STOP");
    assert!(counters.reserve(&budgets(limits), charge(10)).await.is_err());
    assert!(!counters.status().is_reachable);
    assert_eq!(counters.status().instances.len(), 1, "the instances seen last are remembered");
    for _ in 0..1000 {
        // A thousand timeouts would take minutes.
        assert!(counters.reserve(&budgets(limits), charge(10)).await.is_err());
    }
    signal("-CONT");
    reachable(&counters).await;
    let missing = counters.reserve(&budgets(limits), charge(10)).await.unwrap();
    assert!(matches!(missing, Reserved::Missing { .. }), "the reservation may have been made");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_see_each_other_until_they_end() {
    let Some(server) = Server::start() else { return };
    let first = counters(&server, PATIENT).await;
    let second = counters(&server, PATIENT).await;
    let sees = async |counters: &RedisCounters, count: usize| {
        while counters.status().instances.len() != count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let own = counters.status().instances.iter().filter(|found| found.is_own).count();
        assert_eq!(own, 1);
    };
    sees(&first, 2).await;
    sees(&second, 2).await;
    second.close().await;
    sees(&first, 1).await;
    let third = counters(&server, PATIENT).await;
    sees(&first, 2).await;
    // One that ends without a word is forgotten after its lease.
    drop(third);
    sees(&first, 1).await;
}

/// Runs openssl in a folder.
fn openssl(folder: &std::path::Path, arguments: &str) {
    let output = std::process::Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()
        .expect("openssl is required; on Debian: apt-get install openssl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certificates_of_server_and_client_are_verified() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    for ca in ["ca", "other"] {
        openssl(
            folder.path(),
            &format!("req -x509 {key} -keyout {ca}.key -out {ca}.pem -subj /CN={ca}"),
        );
    }
    for (name, alternative) in
        [("server", "IP:127.0.0.1"), ("named", "DNS:cache.example"), ("client", "DNS:client")]
    {
        let request = format!(
            "req -x509 {key} -CA ca.pem -CAkey ca.key -keyout {name}.key -out {name}.pem \
             -subj /CN={name} -addext subjectAltName={alternative} -addext basicConstraints=critical,CA:FALSE"
        );
        openssl(folder.path(), &request);
    }
    let (ca, other) = (path("ca.pem"), path("other.pem"));
    let (client, client_key) = (path("client.pem"), path("client.key"));
    let start = |certificate: &str| {
        let file = path(&format!("{certificate}.pem"));
        let key = path(&format!("{certificate}.key"));
        Server::start_with(&[
            "--port",
            "0",
            "--tls-port",
            "{port}",
            "--tls-cert-file",
            &file,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &ca,
            "--tls-auth-clients",
            "yes",
        ])
    };
    let connects = async |server: &Server, query: String| {
        let address = format!("rediss://127.0.0.1:{}/?{query}", server.port());
        let address = RedisAddress::parse(&address).unwrap();
        let options = RedisOptions { timeout: PATIENT };
        RedisCounters::start(address, options).await.unwrap().status().is_reachable
    };
    let Some(server) = start("server") else { return };
    let identity = format!("sslcert={client}&sslkey={client_key}");
    assert!(connects(&server, format!("sslrootcert={ca}&{identity}")).await);
    assert!(!connects(&server, format!("sslrootcert={other}&{identity}")).await, "another CA");
    assert!(!connects(&server, identity.clone()).await, "the CAs of the system");
    assert!(!connects(&server, format!("sslrootcert={ca}")).await, "no client certificate");
    let named = start("named").unwrap();
    assert!(!connects(&named, format!("sslrootcert={ca}&{identity}")).await, "another host");
}
