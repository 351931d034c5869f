"""Sends, receives and frees by hand: who waits for whom, and whose turn it is on a shared lane."""

from __future__ import annotations

from planner.patterns import Pattern
from tests.planner.case_by_hand import case, independent
from tests.planner.clips import cascade, clip, model

LINKS = {
    "a decoder apart": case(
        clip(model(1, clean=True), 2, 2),
        Pattern(name="sequential", offset=2),
        """
            denoise b0.s0
            send latents b0.s0 to r1
            commit b0
            free latents b0.s0
            denoise b1.s0
            send latents b1.s0 to r1
            free latents b1.s0
        """,
        """
            recv latents b0.s0 from r0
            decode b0
            recv latents b1.s0 from r0
            decode b1
        """,
        rows="""
            r0 0 100 denoise b0.s0
            r0 100 106 send latents b0.s0 to r1
            r0 100 180 commit b0
            r0 180 180 free latents b0.s0
            r0 180 330 denoise b1.s0
            r0 330 336 send latents b1.s0 to r1
            r0 336 336 free latents b1.s0
            r1 100 106 recv latents b0.s0 from r0
            r1 106 146 decode b0
            r1 330 336 recv latents b1.s0 from r0
            r1 336 396 decode b1
        """,
    ),
    # Rank 1's second receive is posted from the start, but the way is taken until 249 us, and then there is nothing to
    # send until 250 us. The free at 249 us would have waited for its send; block 3 reads what rank 0 made as well.
    "a transfer waits for both ends and for its way": case(
        clip(model(1, window=3), 4, 2, decode=False),
        cascade(1),
        """
            denoise b0.s0
            send kv b0.s0 to r1
            denoise b1.s0
            send kv b1.s0 to r1
            free kv b0.s0
            free kv b1.s0
            recv kv b2.s0 from r1
            denoise b3.s0
        """,
        """
            recv kv b0.s0 from r0
            recv kv b1.s0 from r0
            denoise b2.s0
            send kv b2.s0 to r0
            free kv b2.s0
        """,
        rows="""
            r0 0 100 denoise b0.s0
            r0 100 249 send kv b0.s0 to r1
            r0 100 250 denoise b1.s0
            r0 250 399 send kv b1.s0 to r1
            r0 250 250 free kv b0.s0
            r0 399 399 free kv b1.s0
            r0 599 748 recv kv b2.s0 from r1
            r0 748 948 denoise b3.s0
            r1 100 249 recv kv b0.s0 from r0
            r1 250 399 recv kv b1.s0 from r0
            r1 399 599 denoise b2.s0
            r1 599 748 send kv b2.s0 to r0
            r1 748 748 free kv b2.s0
        """,
    ),
    # Rank 1 works until 200 us before it takes anything. The last pass reads the latents, so it need not wait for the
    # K/V behind them.
    "a late receive holds up its way": case(
        independent(2, 2),
        cascade(1),
        "denoise b0.s0\nsend latents b0.s0 to r1\nsend kv b0.s0 to r1\nfree latents b0.s0",
        "denoise b1.s0\ndenoise b1.s1\nrecv latents b0.s0 from r0\nrecv kv b0.s0 from r0\ndenoise b0.s1",
        rows="""
            r0 0 100 denoise b0.s0
            r0 200 206 send latents b0.s0 to r1
            r0 206 355 send kv b0.s0 to r1
            r0 206 206 free latents b0.s0
            r1 0 100 denoise b1.s0
            r1 100 200 denoise b1.s1
            r1 200 206 recv latents b0.s0 from r0
            r1 206 355 recv kv b0.s0 from r0
            r1 206 306 denoise b0.s1
        """,
    ),
    # The free of what came waits for it, as it does for both sends of what was made here.
    "a free waits for every transfer of its payload": case(
        independent(1, 3),
        cascade(1),
        "denoise b0.s0\nsend kv b0.s0 to r1\nsend kv b0.s0 to r2\nfree kv b0.s0\nfree latents b0.s0",
        "recv kv b0.s0 from r0\nfree kv b0.s0",
        "denoise b1.s0\ndenoise b2.s0\nrecv kv b0.s0 from r0",
        rows="""
            r0 0 100 denoise b0.s0
            r0 100 249 send kv b0.s0 to r1
            r0 200 349 send kv b0.s0 to r2
            r0 349 349 free kv b0.s0
            r0 349 349 free latents b0.s0
            r1 100 249 recv kv b0.s0 from r0
            r1 249 249 free kv b0.s0
            r2 0 100 denoise b1.s0
            r2 100 200 denoise b2.s0
            r2 200 349 recv kv b0.s0 from r0
        """,
    ),
    # Rank 1 takes rank 0's only once its own is gone.
    "receives before frees do not deadlock": case(
        independent(1, 2),
        cascade(1),
        "denoise b0.s0\nsend kv b0.s0 to r1\nrecv kv b1.s0 from r1\nfree kv b0.s0",
        "denoise b1.s0\nsend kv b1.s0 to r0\nfree kv b1.s0\nrecv kv b0.s0 from r0",
        rows="""
            r0 0 100 denoise b0.s0
            r0 249 398 send kv b0.s0 to r1
            r0 100 249 recv kv b1.s0 from r1
            r0 398 398 free kv b0.s0
            r1 0 100 denoise b1.s0
            r1 100 249 send kv b1.s0 to r0
            r1 249 249 free kv b1.s0
            r1 249 398 recv kv b0.s0 from r0
        """,
    ),
    # Both of rank 0's messages are ready at 100 us and leave by one port: the one to rank 1 first, as it was posted
    # first. At 249 us the one to rank 2 has been ready since 100 us, the latents only since their receive was posted at
    # 200 us.
    "a port serves what has been ready longest": case(
        independent(2, 3, link_sharing="port"),
        cascade(1),
        "denoise b0.s0\nsend kv b0.s0 to r1\nsend latents b0.s0 to r1\nsend kv b0.s0 to r2",
        "recv kv b0.s0 from r0\ndenoise b1.s0\ndenoise b1.s1\nrecv latents b0.s0 from r0",
        "recv kv b0.s0 from r0",
        rows="""
            r0 0 100 denoise b0.s0
            r0 100 249 send kv b0.s0 to r1
            r0 398 404 send latents b0.s0 to r1
            r0 249 398 send kv b0.s0 to r2
            r1 100 249 recv kv b0.s0 from r0
            r1 0 100 denoise b1.s0
            r1 100 200 denoise b1.s1
            r1 398 404 recv latents b0.s0 from r0
            r2 249 398 recv kv b0.s0 from r0
        """,
    ),
    # What is ready at once goes as it was posted, not by rank.
    "a port serves in the order of the posts": case(
        independent(1, 3, link_sharing="port"),
        cascade(1),
        "denoise b0.s0\nsend kv b0.s0 to r2\nsend latents b0.s0 to r1",
        "recv latents b0.s0 from r0",
        "recv kv b0.s0 from r0",
        rows="""
            r0 0 100 denoise b0.s0
            r0 100 249 send kv b0.s0 to r2
            r0 249 255 send latents b0.s0 to r1
            r1 249 255 recv latents b0.s0 from r0
            r2 100 249 recv kv b0.s0 from r0
        """,
    ),
    # Out of different ports into one: rank 0's first, by rank. What goes the other way has ports of its own.
    "a port takes in one message at a time": case(
        independent(1, 3, link_sharing="port"),
        cascade(1),
        "denoise b0.s0\nsend kv b0.s0 to r2\nrecv kv b2.s0 from r2",
        "denoise b1.s0\nsend kv b1.s0 to r2",
        "recv kv b1.s0 from r1\nrecv kv b0.s0 from r0\ndenoise b2.s0\nsend kv b2.s0 to r0",
        rows="""
            r0 0 100 denoise b0.s0
            r0 100 249 send kv b0.s0 to r2
            r0 100 249 recv kv b2.s0 from r2
            r1 0 100 denoise b1.s0
            r1 249 398 send kv b1.s0 to r2
            r2 249 398 recv kv b1.s0 from r1
            r2 100 249 recv kv b0.s0 from r0
            r2 0 100 denoise b2.s0
            r2 100 249 send kv b2.s0 to r0
        """,
    ),
    # One message at a time, whoever sends it: at 249 us both others have waited since 100 us, so they go by rank.
    "a bus serves one message at a time": case(
        independent(1, 3, link_sharing="bus"),
        cascade(1),
        "denoise b0.s0\nsend kv b0.s0 to r1",
        "denoise b1.s0\nsend kv b1.s0 to r2\nrecv kv b0.s0 from r0\nrecv latents b2.s0 from r2",
        "denoise b2.s0\nsend latents b2.s0 to r1\nrecv kv b1.s0 from r1",
        rows="""
            r0 0 100 denoise b0.s0
            r0 100 249 send kv b0.s0 to r1
            r1 0 100 denoise b1.s0
            r1 249 398 send kv b1.s0 to r2
            r1 100 249 recv kv b0.s0 from r0
            r1 398 404 recv latents b2.s0 from r2
            r2 0 100 denoise b2.s0
            r2 398 404 send latents b2.s0 to r1
            r2 249 398 recv kv b1.s0 from r1
        """,
    ),
    # Each post takes the host 10 us: rank 0's second send is posted at 110 us, its free comes at 120 us at the
    # earliest, its next pass too; rank 1's pass begins once the receive is posted.
    "posting takes the host": case(
        independent(2, 2, post_us=10),
        cascade(1),
        "denoise b0.s0\nsend kv b0.s0 to r1\nsend latents b0.s0 to r1\ndenoise b0.s1\nfree latents b0.s0",
        "recv kv b0.s0 from r0\ndenoise b1.s0\nrecv latents b0.s0 from r0\nfree kv b0.s0",
        rows="""
            r0 0 100 denoise b0.s0
            r0 100 249 send kv b0.s0 to r1
            r0 249 255 send latents b0.s0 to r1
            r0 120 220 denoise b0.s1
            r0 255 255 free latents b0.s0
            r1 100 249 recv kv b0.s0 from r0
            r1 10 110 denoise b1.s0
            r1 249 255 recv latents b0.s0 from r0
            r1 249 249 free kv b0.s0
        """,
    ),
    # Both ways into ranks 1 and 2 are taken until 249 us. Then rank 0's first K/V goes; what was posted behind it could
    # begin since then, what goes to rank 2 since 200 us.
    "who stands behind another is not yet waiting for the port": case(
        independent(2, 5, link_sharing="port"),
        cascade(1),
        "denoise b0.s0\ndenoise b0.s1\nsend kv b0.s0 to r1\nsend kv b0.s1 to r1\nsend kv b0.s0 to r2",
        "recv kv b1.s0 from r3\nrecv kv b0.s0 from r0\nrecv kv b0.s1 from r0",
        "recv kv b2.s0 from r4\nrecv kv b0.s0 from r0",
        "denoise b1.s0\nsend kv b1.s0 to r1",
        "denoise b2.s0\nsend kv b2.s0 to r2",
        rows="""
            r0 0 100 denoise b0.s0
            r0 100 200 denoise b0.s1
            r0 249 398 send kv b0.s0 to r1
            r0 547 696 send kv b0.s1 to r1
            r0 398 547 send kv b0.s0 to r2
            r1 100 249 recv kv b1.s0 from r3
            r1 249 398 recv kv b0.s0 from r0
            r1 547 696 recv kv b0.s1 from r0
            r2 100 249 recv kv b2.s0 from r4
            r2 398 547 recv kv b0.s0 from r0
            r3 0 100 denoise b1.s0
            r3 100 249 send kv b1.s0 to r1
            r4 0 100 denoise b2.s0
            r4 100 249 send kv b2.s0 to r2
        """,
    ),
}
