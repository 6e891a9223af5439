//! The paths that a `find` or `fd` command can yield, as patterns.

use super::evaluate::unknown;

/// Whether the argument turns the next test of `find` around.
pub(crate) fn negates(arg: &str) -> bool {
    matches!(arg, "!" | "-not")
}

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
        .enumerate()
        .position(|(at, arg)| {
            matches!(*arg, "-name" | "-iname" | "-path" | "-wholename")
                && !(at > 0 && negates(args[at - 1]))
        })
        .and_then(|at| args.get(at + 1));
    let folder = |start: &str| match name {
        Some(name) => format!("{start}/{}", name.trim_start_matches("*/").trim_start_matches('/')),
        None => format!("{start}/found"),
    };
    // Of a whole file system or home, even a name says too little.
    let wide = starts.iter().filter(|start| matches!(start.trim_end_matches('/'), "" | "~"));
    let wide: Vec<String> = wide.map(|start| (*start).to_owned()).collect();
    let found: Vec<String> = starts.iter().map(|start| folder(start)).collect();
    let build = found.iter().all(|path| super::targets::is_build(path));
    if build { found } else { found.into_iter().chain(wide).collect() }
}
