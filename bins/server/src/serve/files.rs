//! Modes of the files that the service creates.

/// From now on, this process creates files with mode 0600 and folders with 0700. The journal, its
/// backups, the log and the plans quote what callers sent. Files that exist keep the mode that their
/// owner chose. Not for commands that let git write into a repository of several users.
pub(crate) fn keep_private() {
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o077));
}
