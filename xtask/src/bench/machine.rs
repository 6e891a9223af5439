//! The machine of a measurement.

use std::process::Command;

use super::report::Section;

/// Processor, memory, system, compiler, commit and load.
pub(super) fn describe(quick: bool) -> anyhow::Result<Section> {
    let mut section = Section::new("machine");
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    let gigabytes = of_file("/proc/meminfo", "MemTotal:")
        .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
        .map_or(0, |kilobytes| kilobytes >> 20);
    let processor = of_file("/proc/cpuinfo", "model name").unwrap_or_default();
    let kernel = first_line("uname", &["-sr"]);
    let compiler = first_line("rustc", &["--version"]);
    let commit = first_line("git", &["rev-parse", "--short", "HEAD"]);
    let now = format!("{:.10}", jiff::Timestamp::now().to_string());
    let how = if quick {
        "`cargo xtask bench --quick` (too short to rely on)"
    } else {
        "`cargo xtask bench`"
    };
    section.line(&format!(
        "Measured on {now} with {how} at commit `{commit}`: {cores} cores ({}), {gigabytes} GB, {kernel}, \
         {compiler}, release build; load average at the start {load}.",
        processor.trim_start_matches([':', ' ', '\t'])
    ));
    Ok(section)
}

fn of_file(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().to_owned())
}

/// The first line of a program's output; `?` if it does not run.
fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(crate::root()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.ok().and_then(|text| text.lines().next().map(str::to_owned)).unwrap_or_else(|| "?".into())
}
