"""Gangs, groups, streams, slices and prompts by hand."""

from __future__ import annotations

from planner.patterns import Pattern
from planner.problem import Problem
from tests.planner.case_by_hand import case
from tests.planner.clips import cascade, clip, model


def _encoded_beside(text_us: int) -> Problem:
    """Three blocks on four ranks with one bus, and a prompt to encode."""
    measured = {"text_us": text_us, "link_sharing": "bus"}
    return clip(model(3), 3, 4, decode=False, asked={"encode_text": True}, measured=measured)


TOGETHER = {
    # A tick with blocks in flight on both ranks: the slowest pass, 6 layers of a collective (300 us on this link, 5 us
    # of latency) and of one block's K/V (24 576 bytes, 24 us). Tick 2 waits for rank 0's decode.
    "a gang starts and ends together": case(
        clip(model(2), 3, 2, measured={"joint_stretch": 1.0}),
        cascade(1, "live-joint"),
        "tick 0 b0.s0\ntick 1 b0.s1\ndecode b0\ntick 2 b2.s0\ntick 3 b2.s1",
        "tick 0\ntick 1 b1.s0\ntick 2 b1.s1\ntick 3",
        where="block",
        rows="""
            r0 0 100 tick 0 b0.s0
            r0 100 2224 tick 1 b0.s1
            r0 2224 2264 decode b0
            r0 2264 4438 tick 2 b2.s0
            r0 4438 4638 tick 3 b2.s1
            r1 0 100 tick 0
            r1 100 2224 tick 1 b1.s0
            r1 2264 4438 tick 2 b1.s1
            r1 4438 4638 tick 3
        """,
    ),
    # A pass takes 60 us on two ranks. It waits for the prompt, which the group's first rank encodes and sends: 528
    # bytes, 6 us.
    "a group starts and ends together": case(
        clip(
            model(1),
            1,
            2,
            decode=False,
            asked={"encode_text": True},
            measured={"text_us": 20, "parallel": [{"method": "ulysses", "degree": 2, "share": 0.6}]},
        ),
        cascade(1),
        "text p0\nsend text p0 to r1\ndenoise b0.s0",
        "recv text p0 from r0\ndenoise b0.s0\nfree text p0",
        where="free*ulysses:2",
        rows="""
            r0 0 20 text p0
            r0 20 26 send text p0 to r1
            r0 26 86 denoise b0.s0
            r1 20 26 recv text p0 from r0
            r1 26 86 denoise b0.s0
            r1 86 86 free text p0
        """,
    ),
    # The first of 6 layers is there 17 us into the maker; each layer's 24 576 bytes take 29 us, longer than it takes
    # to make one. The reader ends a layer of its own, 25 us, after the last has come.
    "a stream slower than its maker": case(
        clip(model(2), 2, 2, decode=False),
        cascade(1, "live-causal"),
        "denoise b0.s0\nstream kv b0.s1 to r1\ndenoise b0.s1\nfree kv b0.s1",
        "tap kv b0.s1 from r0\ndenoise b1.s0\ndenoise b1.s1\nfree kv b0.s1",
        rows="""
            r0 0 100 denoise b0.s0
            r0 117 291 stream kv b0.s1 to r1
            r0 100 200 denoise b0.s1
            r0 291 291 free kv b0.s1
            r1 117 291 tap kv b0.s1 from r0
            r1 146 316 denoise b1.s0
            r1 316 466 denoise b1.s1
            r1 466 466 free kv b0.s1
        """,
    ),
    # A layer is on its way for 2 us: the last arrives 2 us after the maker's end, long before the reader's last layer.
    "a stream faster than its maker": case(
        clip(model(2), 2, 2, decode=False, latency_us=1, bandwidth_gbps=1e6),
        cascade(1, "live-causal"),
        "denoise b0.s0\nstream kv b0.s1 to r1\ndenoise b0.s1",
        "tap kv b0.s1 from r0\ndenoise b1.s0",
        rows="""
            r0 0 100 denoise b0.s0
            r0 117 202 stream kv b0.s1 to r1
            r0 100 200 denoise b0.s1
            r1 117 202 tap kv b0.s1 from r0
            r1 119 269 denoise b1.s0
        """,
    ),
    # Posted only when its maker is done: nothing keeps the layers from leaving one after the other.
    "a stream that is posted late": case(
        clip(model(2), 2, 2, decode=False),
        cascade(1, "live-causal"),
        "denoise b0.s0\ndenoise b0.s1\nstream kv b0.s1 to r1",
        "tap kv b0.s1 from r0\ndenoise b1.s0",
        rows="""
            r0 0 100 denoise b0.s0
            r0 100 200 denoise b0.s1
            r0 200 374 stream kv b0.s1 to r1
            r1 200 374 tap kv b0.s1 from r0
            r1 229 399 denoise b1.s0
        """,
    ),
    # An ordinary message of the same payload leaves when it is made.
    "a live reader of a whole message": case(
        clip(model(2), 2, 2, decode=False),
        cascade(1, "live-causal"),
        "denoise b0.s0\ndenoise b0.s1\nsend kv b0.s1 to r1",
        "recv kv b0.s1 from r0\ndenoise b1.s0",
        rows="""
            r0 0 100 denoise b0.s0
            r0 100 200 denoise b0.s1
            r0 200 349 send kv b0.s1 to r1
            r1 200 349 recv kv b0.s1 from r0
            r1 349 499 denoise b1.s0
        """,
    ),
    # Each slice holds 3 of 6 layers; hidden states of one pass are 16 x 192 x 4 bytes, 17 us on their way.
    "a ring of two slices": case(
        clip(model(2), 1, 2, decode=False),
        Pattern(name="layers", offset=1),
        "slice 0.0 b0.s0\nsend hidden w0.l0 to r1\nrecv latents b0.s0 from r1\nslice 2.0 b0.s1\n"
        "send hidden w2.l0 to r1",
        "recv hidden w0.l0 from r0\nslice 0.1 b0.s0\nsend latents b0.s0 to r0\nrecv hidden w2.l0 from r0\n"
        "slice 2.1 b0.s1",
        where="ring",
        rows="""
            r0 0 50 slice 0.0 b0.s0
            r0 50 67 send hidden w0.l0 to r1
            r0 117 123 recv latents b0.s0 from r1
            r0 123 173 slice 2.0 b0.s1
            r0 173 190 send hidden w2.l0 to r1
            r1 50 67 recv hidden w0.l0 from r0
            r1 67 117 slice 0.1 b0.s0
            r1 117 123 send latents b0.s0 to r0
            r1 173 190 recv hidden w2.l0 from r0
            r1 190 240 slice 2.1 b0.s1
        """,
    ),
    # The second prompt is there at 500 us; block 1 reads it, block 0 does not.
    "nothing of a prompt begins before it is there": case(
        clip(model(1), 2, asked={"encode_text": True, "switches": [{"at_us": 500}]}, measured={"text_us": 20}),
        cascade(1),
        "text p0\ndenoise b0.s0\ndecode b0\ntext p1\ndenoise b1.s0\ndecode b1",
        ticks="1",
        rows="""
            r0 0 20 text p0
            r0 20 120 denoise b0.s0
            r0 120 160 decode b0
            r0 500 520 text p1
            r0 520 670 denoise b1.s0
            r0 670 730 decode b1
        """,
    ),
    # The K/V that is not read in the tick that makes it is there when all of it is.
    "a later reader of a stream": case(
        clip(model(2), 2, 2, decode=False),
        cascade(1, "live-causal"),
        "denoise b0.s0\nstream kv b0.s1 to r1\ndenoise b0.s1",
        "tap kv b0.s1 from r0\ndenoise b1.s1",
        rows="""
            r0 0 100 denoise b0.s0
            r0 117 291 stream kv b0.s1 to r1
            r0 100 200 denoise b0.s1
            r1 117 291 tap kv b0.s1 from r0
            r1 291 441 denoise b1.s1
        """,
    ),
    # The bus is taken from 200 to 349 us. The text has been ready since 210 us, the stream's first layer since 217 us,
    # though it was posted at 200 us.
    "a stream is ready with its first layer": case(
        clip(
            model(3), 3, 4, decode=False, asked={"encode_text": True}, measured={"text_us": 210, "link_sharing": "bus"}
        ),
        cascade(1, "live-causal"),
        "denoise b0.s0\ndenoise b0.s1\nstream kv b0.s2 to r1\ndenoise b0.s2",
        "recv kv b2.s0 from r2\ntap kv b0.s2 from r0\nrecv text p0 from r3",
        "denoise b2.s0\nsend kv b2.s0 to r1",
        "text p0\nsend text p0 to r1",
        rows="""
            r0 0 100 denoise b0.s0
            r0 100 200 denoise b0.s1
            r0 355 529 stream kv b0.s2 to r1
            r0 200 300 denoise b0.s2
            r1 200 349 recv kv b2.s0 from r2
            r1 355 529 tap kv b0.s2 from r0
            r1 349 355 recv text p0 from r3
            r2 0 200 denoise b2.s0
            r2 200 349 send kv b2.s0 to r1
            r3 0 210 text p0
            r3 349 355 send text p0 to r1
        """,
    ),
    # The same, but the stream is posted at 300 us, when all of it is made, and the text is ready at 250 us.
    "a stream posted late is ready then": case(
        clip(
            model(3), 3, 4, decode=False, asked={"encode_text": True}, measured={"text_us": 250, "link_sharing": "bus"}
        ),
        cascade(1, "live-causal"),
        "denoise b0.s0\ndenoise b0.s1\ndenoise b0.s2\nstream kv b0.s2 to r1",
        "recv kv b2.s0 from r2\ntap kv b0.s2 from r0\nrecv text p0 from r3",
        "denoise b2.s0\nsend kv b2.s0 to r1",
        "text p0\nsend text p0 to r1",
        rows="""
            r0 0 100 denoise b0.s0
            r0 100 200 denoise b0.s1
            r0 200 300 denoise b0.s2
            r0 355 529 stream kv b0.s2 to r1
            r1 200 349 recv kv b2.s0 from r2
            r1 355 529 tap kv b0.s2 from r0
            r1 349 355 recv text p0 from r3
            r2 0 200 denoise b2.s0
            r2 200 349 send kv b2.s0 to r1
            r3 0 250 text p0
            r3 349 355 send text p0 to r1
        """,
    ),
}
