//! Encrypted connections to a real server: its certificate, its name and the client's certificate are verified.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use life_agent_observer_postgres::testing::Cluster;

use super::support::{open, write};

/// Runs openssl in a folder.
fn openssl(folder: &Path, arguments: &str) {
    let output = std::process::Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()
        .expect("openssl is required; on Debian: apt-get install openssl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Certificates of two authorities, of servers with the right and a wrong name, and of clients.
fn make_certificates(folder: &Path) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    for ca in ["ca", "other"] {
        openssl(folder, &format!("req -x509 {key} -keyout {ca}.key -out {ca}.pem -subj /CN={ca}"));
    }
    for (name, ca, subject, alternative) in [
        ("server", "ca", "server", "IP:127.0.0.1"),
        ("named", "ca", "named", "DNS:db.example"),
        ("client", "ca", "postgres", "DNS:client"),
        ("stranger", "other", "postgres", "DNS:client"),
    ] {
        let request = format!(
            "req -x509 {key} -CA {ca}.pem -CAkey {ca}.key -keyout {name}.key -out {name}.pem \
             -subj /CN={subject} -addext subjectAltName={alternative} -addext basicConstraints=critical,CA:FALSE"
        );
        openssl(folder, &request);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_of_server_and_client_are_verified() {
    let Some(cluster) = Cluster::start() else { return };
    let database = cluster.database().rsplit_once('/').unwrap().1.to_owned();
    let folder = cluster.folder().to_owned();
    make_certificates(&folder);
    let hba = "hostssl all all 127.0.0.1/32 cert clientcert=verify-full\nlocal all all trust\n";
    std::fs::write(folder.join("hba.conf"), hba).unwrap();
    cluster.own_files();
    let start = |certificate: &str| {
        let file = |name: &str| folder.join(name).display().to_string();
        let key = file(&format!("{certificate}.key"));
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        cluster.stop_immediately();
        cluster.start_with(&format!(
            "-c ssl=on -c ssl_ca_file={} -c ssl_cert_file={} -c ssl_key_file={key} -c hba_file={}",
            file("ca.pem"),
            file(&format!("{certificate}.pem")),
            file("hba.conf"),
        ));
    };
    let address = |parameters: &[(&str, &str)]| {
        let files: Vec<_> = parameters
            .iter()
            .map(|(name, file)| format!("{name}={}", folder.join(file).display()))
            .collect();
        let base = cluster.address(&database).replace("postgres@", "postgres:geheim@");
        format!("{base}?sslmode=verify-full&{}", files.join("&"))
    };
    let identity = [("sslcert", "client.pem"), ("sslkey", "client.key")];
    let with = |roots| [&[("sslrootcert", roots)], &identity[..]].concat();
    let refusal = |address: &str| {
        let why = open(address).err().unwrap().to_string();
        assert!(!why.contains("geheim"), "{why}");
        why
    };

    start("server");
    let journal = open(&address(&with("ca.pem"))).unwrap();
    assert_eq!(write(&journal, "encrypted").await, Ok(1));
    journal.close().await.unwrap();
    let why = refusal(&address(&with("other.pem")));
    assert!(why.contains("UnknownIssuer"), "another authority: {why}");
    let why = refusal(&address(&identity));
    assert!(why.contains("UnknownIssuer"), "the authorities of the system: {why}");
    let why = refusal(&address(&[("sslrootcert", "ca.pem")]));
    assert!(why.contains("refuses the user"), "no certificate of the client: {why}");
    let stranger =
        [("sslrootcert", "ca.pem"), ("sslcert", "stranger.pem"), ("sslkey", "stranger.key")];
    refusal(&address(&stranger));
    let plain = cluster.address(&database);
    let why = refusal(&format!("{plain}?sslmode=disable"));
    assert!(why.contains("refuses the user"), "not encrypted: {why}");

    start("named");
    let why = refusal(&address(&with("ca.pem")));
    assert!(why.contains("not valid for name"), "another host: {why}");
}
