//! The paths that a `find` or `fd` command can yield, as patterns.

use super::evaluate::unknown;

/// One path per start folder: the folder with the name pattern, or with an unknown name.
pub(crate) fn found_paths(program: &str, args: &[&str]) -> Vec<String> {
    if program.starts_with("fd") {
        let pattern = args.iter().find(|arg| !arg.starts_with('-')).copied();
        return vec![match pattern {
            Some(pattern) => format!("./{pattern}"),
            None => format!("./{}", unknown("found")),
        }];
    }
    let mut starts: Vec<&str> = args
        .iter()
        .skip_while(|arg| matches!(**arg, "-H" | "-L" | "-P"))
        .take_while(|arg| !arg.starts_with(['-', '(', '!']))
        .copied()
        .take(20)
        .collect();
    if starts.is_empty() {
        starts.push(".");
    }
    let name = args
        .iter()
        .position(|arg| matches!(*arg, "-name" | "-iname" | "-path" | "-wholename"))
        .and_then(|at| args.get(at + 1));
    let folder = |start: &str| match name {
        Some(name) => format!("{start}/{}", name.trim_start_matches("*/").trim_start_matches('/')),
        None => format!("{start}/found"),
    };
    starts.into_iter().map(folder).collect()
}
