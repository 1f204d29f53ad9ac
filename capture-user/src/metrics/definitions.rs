//! Name, type, labels and meaning of every metric of the daemon.

use std::fmt;

/// Type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the daemon restarts.
    Counter,
    /// Goes up and down.
    Gauge,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        })
    }
}

/// One metric.
#[derive(Debug)]
pub struct Definition {
    /// Full name.
    pub name: &'static str,
    /// Type.
    pub kind: Kind,
    /// Names of its labels, in the order of their values.
    pub labels: &'static [&'static str],
    /// What it says, in one line.
    pub help: &'static str,
}

/// Defines the metrics as constants and lists them.
macro_rules! definitions {
    ($($constant:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(
            pub(super) static $constant: Definition = Definition {
                name: $name,
                kind: Kind::$kind,
                labels: &[$($label),*],
                help: $help,
            };
        )+

        /// All metrics of the daemon, without the `process_` ones.
        pub static DEFINITIONS: &[&Definition] = &[$(&$constant),+];
    };
}

definitions! {
    BUILD_INFO: Gauge "capture_build_info" ["version", "arch", "profile"]
        "Always 1; the labels say which build is running.";
    INTERFACE_INFO: Gauge "capture_interface_info" ["interface", "mode", "attach", "copy"]
        "Always 1; the labels say how frames of the interface are taken.";
    FILTER_INFO: Gauge "capture_filter_info" ["interface", "filter"]
        "Always 1; the label holds the filter in force, its first 200 characters; empty for none.";
    RECEIVED_FRAMES: Counter "capture_received_frames_total" ["interface", "direction"]
        "Frames seen, whatever the filter says; at egress the segments of a super-packet.";
    RECEIVED_BYTES: Counter "capture_received_bytes_total" ["interface", "direction"]
        "Bytes of the frames seen, Ethernet header included, frame check sequence not.";
    MATCHED_FRAMES: Counter "capture_matched_frames_total" ["interface", "direction"]
        "Frames that the filter let through on an interface that captures.";
    DELIVERED_FRAMES: Counter "capture_delivered_frames_total" ["interface", "direction"]
        "Matched frames that the kernel programs handed to the daemon.";
    WRITTEN_FRAMES: Counter "capture_written_frames_total" ["interface", "direction"]
        "Frames written to a segment.";
    WRITTEN_BYTES: Counter "capture_written_bytes_total" ["interface", "direction"]
        "Bytes of the frames written to a segment, as cut by the snap length.";
    LOST_FRAMES: Counter "capture_lost_frames_total" ["interface", "direction", "stage"]
        "Matched frames that are in no segment, by the stage that lost them.";
    UNPARSED_FRAMES: Counter "capture_unparsed_frames_total" ["interface", "direction", "reason"]
        "Frames whose parsing ended before the transport header, by the reason.";
    TCP_RETRANSMISSIONS: Counter "capture_tcp_retransmissions_total"
        ["interface", "direction", "ip_version", "class"]
        "TCP segments sent again, by what they are.";
    TCP_RETRANSMISSIONS_BY_SIDE: Counter "capture_tcp_retransmissions_by_side_total"
        ["interface", "direction", "ip_version", "side"]
        "TCP segments sent again, by the side of this machine on which they had been lost.";
    TCP_OUT_OF_ORDER: Counter "capture_tcp_out_of_order_total"
        ["interface", "direction", "ip_version"]
        "TCP segments that arrived after a later one, too soon to be retransmissions.";
    TCP_DUPLICATE_ACKS: Counter "capture_tcp_duplicate_acks_total"
        ["interface", "direction", "ip_version"]
        "TCP ACKs that acknowledge nothing new.";
    TCP_LOST_SEGMENTS: Counter "capture_tcp_lost_segments_total"
        ["interface", "direction", "ip_version"]
        "TCP segments with a hole in front of them: an earlier one was not seen.";
    TCP_KEEP_ALIVES: Counter "capture_tcp_keep_alives_total"
        ["interface", "direction", "ip_version"]
        "TCP keep-alives, without the answers to them.";
    TCP_ZERO_WINDOWS: Counter "capture_tcp_zero_windows_total"
        ["interface", "direction", "ip_version"]
        "TCP segments in which the receiver closed its window.";
    TCP_RESETS: Counter "capture_tcp_resets_total" ["interface", "direction", "ip_version"]
        "TCP segments with RST.";
    ICMP_MESSAGES: Counter "capture_icmp_messages_total"
        ["interface", "direction", "ip_version", "type", "code"]
        "ICMP (ip_version 4) and ICMPv6 (6) messages; type and code \"other\" for unassigned ones.";
    FLOWS_CREATED: Counter "capture_flows_created_total" ["interface", "direction"]
        "TCP conversations that were new to the flow table.";
    SYNS_LEFT_UNKNOWN: Counter "capture_syns_left_unknown_total" ["interface", "direction"]
        "SYNs and SYN-ACKs that left while their conversation was not in the flow table.";
    FLOWS: Gauge "capture_flows" []
        "TCP conversations in the flow table.";
    FLOWS_LIMIT: Gauge "capture_flows_limit" []
        "Most TCP conversations that the flow table holds.";
    FLOWS_EVICTED: Counter "capture_flows_evicted_total" []
        "TCP conversations that left the flow table for newer ones.";
    SEGMENTS: Gauge "capture_segments" []
        "Published segments on disk.";
    SEGMENT_BYTES: Gauge "capture_segment_bytes" []
        "Bytes of the published segments on disk.";
    SEGMENTS_DELETED: Counter "capture_segments_deleted_total" ["reason"]
        "Segments deleted by retention, by the limit that was reached.";
    OLDEST_FRAME: Gauge "capture_oldest_frame_timestamp_seconds" []
        "When the oldest frame on disk was captured, Unix time; 0 when no segment is held.";
}
