//! Files that a command fetches and then runs: `curl -o install.sh …; sh install.sh`.

use super::evaluate::{Evaluator, Output, Scope};
use super::expand::Field;
use super::wrappers::option_values;

/// Most files remembered.
const MAX_DOWNLOADS: usize = 32;

impl Evaluator {
    /// Remembers the files that a program has written with what another machine sent.
    pub(crate) fn note_downloads(
        &mut self,
        program: &str,
        argv: &[Field],
        output: &Output,
        scope: &Scope,
    ) {
        let mut files: Vec<String> = Vec::new();
        if output.network {
            files.extend(scope.writes.iter().map(|(_, field)| field.text.clone()));
            if program == "tee" {
                files.extend(argv.iter().map(|field| field.text.clone()));
            }
        }
        let args: Vec<&str> = argv.iter().map(|field| field.text.as_str()).collect();
        let named: &[&str] = match program {
            "curl" | "xh" | "http" => &["-o", "--output"],
            "wget" => &["-O", "--output-document"],
            "aria2c" => &["-o", "--out"],
            "Invoke-WebRequest" | "iwr" => &["-OutFile"],
            _ => &[],
        };
        files.extend(option_values(&args, named).into_iter().map(str::to_owned));
        // A cluster such as `-fsSLo`.
        let cluster = args.windows(2).find(|pair| {
            program == "curl"
                && pair[0].starts_with('-')
                && !pair[0].starts_with("--")
                && pair[0].ends_with('o')
        });
        files.extend(cluster.map(|pair| pair[1].to_owned()));
        let by_address = match program {
            "curl" => args.iter().any(|arg| {
                *arg == "--remote-name"
                    || (arg.starts_with('-') && !arg.starts_with("--") && arg.contains('O'))
            }),
            "wget" => files.is_empty(),
            _ => false,
        };
        if by_address {
            let addresses = args.iter().filter(|arg| arg.contains("://"));
            let names = addresses.filter_map(|arg| {
                arg.split(['?', '#']).next().and_then(|path| path.rsplit('/').next())
            });
            files.extend(names.map(str::to_owned));
        }
        for file in files {
            if self.downloads.len() < MAX_DOWNLOADS && file != "-" && !file.starts_with("/dev/") {
                let path = self.place.full(&file);
                self.downloads.push(path);
            }
        }
    }

    /// Whether the command has fetched the file.
    pub(crate) fn is_downloaded(&self, path: &str) -> bool {
        !self.downloads.is_empty() && self.downloads.contains(&self.place.full(path))
    }
}
