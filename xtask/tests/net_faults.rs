//! Starts that must fail: the exit code, one message, and nothing left behind. Needs root.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

use std::{fs, net::TcpListener, os::unix::net::UnixListener, path::Path};

use xtask::lab::{Daemon, Lab, Namespace, PairOptions, build};

/// Runs `captured run` behind other programs' arguments; it must end with this code and one line.
fn refused(namespace: &Namespace, wrapper: &[&str], arguments: &[&str], code: i32) -> String {
    let captured = build::captured().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let control = directory.path().join("control.sock");
    let mut words = wrapper.to_vec();
    words.extend([captured.to_str().unwrap(), "run", "--quiet"]);
    if !arguments.contains(&"--control") {
        words.extend(["--control", control.to_str().unwrap()]);
    }
    words.extend(arguments);
    let output = namespace.command(words[0]).args(&words[1..]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!(said.trim().lines().count(), 1, "{said}");
    assert!(!control.exists());
    said
}

fn nothing_attached(namespace: &Namespace) {
    let links = namespace.ip("-d link").unwrap();
    assert!(!links.contains("xdp"), "{links}");
    let hooks = namespace.run(&["bpftool", "net"]).unwrap();
    assert!(!hooks.contains("id "), "{hooks}");
}

/// At most the lock file is there: no segment, and none begun.
fn nothing_written(directory: &Path) {
    if !directory.exists() {
        return;
    }
    let names = directory.read_dir().unwrap().map(|entry| entry.unwrap().file_name());
    let names: Vec<_> = names.filter(|name| name != ".lock").collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn missing_capabilities_are_named() {
    let pair = Lab::pair(&PairOptions::default()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let stored = directory.path().join("segments");
    let tap = ["-i", "mon0", "-w", stored.to_str().unwrap()];
    let mirror = ["-i", "mon0:mirror", "-w", stored.to_str().unwrap()];
    // CAP_SYS_ADMIN stands for both of the first two.
    for (dropped, name, arguments) in [
        ("-bpf,-sys_admin", "CAP_BPF", tap),
        ("-perfmon,-sys_admin", "CAP_PERFMON", tap),
        ("-net_admin", "CAP_NET_ADMIN", tap),
        ("-net_raw", "CAP_NET_RAW", mirror),
    ] {
        let wrapper = ["setpriv", "--bounding-set", dropped, "--inh-caps", dropped];
        let said = refused(&pair.monitor, &wrapper, &arguments, 1);
        assert!(said.contains(&format!("{name} missing")), "{dropped}: {said}");
        nothing_attached(&pair.monitor);
        nothing_written(&stored);
    }
}

#[test]
fn taken_port_is_named() {
    let pair = Lab::pair(&PairOptions::default()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let stored = directory.path().join("segments");
    let taken = pair.monitor.enter(|| TcpListener::bind("127.0.0.1:9411")).unwrap();
    let _taken = taken.unwrap();
    for interface in ["mon0", "mon0:mirror"] {
        let arguments = ["-i", interface, "-w", stored.to_str().unwrap()];
        let said = refused(&pair.monitor, &[], &arguments, 1);
        assert!(said.contains("127.0.0.1:9411") && said.contains("--listen"), "{said}");
        nothing_attached(&pair.monitor);
        nothing_written(&stored);
    }
}

#[test]
fn second_daemon_leaves_the_first_alone() {
    let pair = Lab::pair(&PairOptions { links: 2, ..Default::default() }).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let stored = directory.path().join("segments");
    let stored = stored.to_str().unwrap();
    let daemon = Daemon::start(&pair.monitor, &["-i", "mon0", "-w", stored]).unwrap();
    let before = pair.monitor.run(&["bpftool", "net"]).unwrap();
    assert!(before.contains("id "), "the first is attached: {before}");
    let second = ["--listen", "127.0.0.1:9412", "-i", "mon1", "-w", stored];
    let said = refused(&pair.monitor, &[], &second, 1);
    assert!(said.contains(stored) && said.contains(&daemon.pid().to_string()), "{said}");
    assert_eq!(pair.monitor.run(&["bpftool", "net"]).unwrap(), before);
    assert_eq!(daemon.get("/readyz").unwrap().status, 200);
    daemon.stop().unwrap();
    nothing_attached(&pair.monitor);
}

#[test]
fn taken_control_socket_is_named() {
    let pair = Lab::pair(&PairOptions::default()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (stored, socket) = (directory.path().join("segments"), directory.path().join("c.sock"));
    let _taken = UnixListener::bind(&socket).unwrap();
    let arguments = ["-i", "mon0", "-w", stored.to_str().unwrap(), "--control"];
    let arguments = [&arguments[..], &[socket.to_str().unwrap()]].concat();
    let said = refused(&pair.monitor, &[], &arguments, 1);
    assert!(said.contains(socket.to_str().unwrap()) && said.contains("--control"), "{said}");
    assert!(socket.exists(), "it is the other program's");
    nothing_attached(&pair.monitor);
    nothing_written(&stored);
}

#[test]
fn mistakes_in_the_configuration_have_file_line_and_key() {
    let pair = Lab::pair(&PairOptions::default()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("bad.toml");
    let stored = directory.path().join("segments");
    let interface = "[[interface]]\nname = \"mon0\"\n";
    for (mistake, key) in [("mode = \"span\"\n", "mode"), ("filter = \"tcp porrt 80\"\n", "filter")]
    {
        fs::write(&config, format!("{interface}{mistake}")).unwrap();
        let arguments = ["--config", config.to_str().unwrap(), "-w", stored.to_str().unwrap()];
        let said = refused(&pair.monitor, &[], &arguments, 2);
        assert!(said.contains("bad.toml:3") && said.contains(key), "{said}");
        nothing_attached(&pair.monitor);
        nothing_written(&stored);
    }
}

#[test]
fn unfit_interfaces_and_directories_are_named() {
    let pair = Lab::pair(&PairOptions::default()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let stored = directory.path().join("segments");
    let segments = stored.to_str().unwrap();
    pair.monitor.ip("addr add 192.0.2.1/24 dev mon0").unwrap();
    for (arguments, code, wanted) in [
        (["-i", "mon7", "-w", segments], 2, ["mon7", "mon0"]),
        (["-i", "mon0", "-w", "/proc/captured"], 1, ["/proc/captured", "director"]),
        (["-i", "mon0:mirror", "-w", segments], 2, ["192.0.2.1", "force"]),
    ] {
        let said = refused(&pair.monitor, &[], &arguments, code);
        for wanted in wanted {
            assert!(said.contains(wanted), "{wanted:?} is not in: {said}");
        }
        nothing_attached(&pair.monitor);
        nothing_written(&stored);
    }
}
