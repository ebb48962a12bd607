"""Whether an open page grows: bodies come as fast as it draws them, and what it holds is counted after a collection.

    await page.page.add_init_script(FEED)          # before the page is opened
    await page.open("/topics")
    await fed(page.page, 200)                      # two hundred bodies, each with other values than the one before
    held = await held_by(page.page)

The first body of each live stream is the gateway's own; those that follow are made of it in the page, with later times,
other numbers and other texts, and enter by the same reader as what comes over the network.
"""

from __future__ import annotations

from dataclasses import dataclass

from playwright.async_api import Page

FEED = """(() => {
    const ask = window.fetch.bind(window);
    const feeds = new Set();
    const encoder = new TextEncoder();
    let round = 0;

    /* The same shape, later and other values; lists lose their first and gain a last, so that rows come and go. */
    function next(value, key) {
        if (typeof value === "number" && /per_s|records|bytes|published|queued/.test(key)) return value + round % 97;
        if (key === "at" && typeof value === "string")
            return new Date(Date.parse(value) + round * 1000).toISOString();
        if (key === "id" && typeof value === "number") return value + round;
        if (key === "text" && typeof value === "string") return `{"celsius": ${round}, "rpm": ${round * 3}}`;
        if (key === "client" && typeof value === "string") return `${value}-${round % 50}`;
        if (Array.isArray(value)) return value.map((one) => next(one, key));
        if (value !== null && typeof value === "object")
            return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, next(one, name)]));
        return value;
    }

    window.fetch = async (path, options) => {
        const answer = await ask(path, options);
        if (!answer.ok || options?.headers?.Accept !== "text/event-stream") return answer;
        const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
        let text = "";
        while (!/^data: .*\\n\\n/m.test(text)) text += (await reader.read()).value ?? "";
        void reader.cancel();
        const feed = { body: JSON.parse(/^data: (.*)$/m.exec(text)[1]) };
        return new Response(new ReadableStream({
            start(to) {
                feed.tell = (body) => to.enqueue(encoder.encode(`event: body\\ndata: ${JSON.stringify(body)}\\n\\n`));
                feed.tell(feed.body);
                feeds.add(feed);
            },
            cancel() { feeds.delete(feed); },
        }));
    };
    /* One after the other: the page has read and drawn each before the next comes. */
    window.feedBodies = async (times) => {
        for (let left = times; left > 0; left -= 1) {
            round += 1;
            for (const feed of feeds) feed.tell(next(feed.body, ""));
            await new Promise((resolve) => setTimeout(resolve));
            await new Promise((resolve) => requestAnimationFrame(resolve));
        }
        return feeds.size;
    };
})()"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a page holds after a collection."""

    heap_bytes: int
    nodes: int
    listeners: int


async def fed(page: Page, bodies: int) -> None:
    """Each of the page's live streams has had so many more bodies, and they are drawn."""
    assert await page.evaluate("(times) => window.feedBodies(times)", bodies) > 0, "the page follows no stream"


async def held_by(page: Page) -> Held:
    """What is left when all that can be collected is."""
    session = await page.context.new_cdp_session(page)
    try:
        for _ in range(2):  # what the first one only lets go of, the second takes
            await session.send("HeapProfiler.collectGarbage")
        heap = await session.send("Runtime.getHeapUsage")
        counters = await session.send("Memory.getDOMCounters")
    finally:
        await session.detach()
    return Held(
        heap_bytes=int(heap["usedSize"]), nodes=int(counters["nodes"]), listeners=int(counters["jsEventListeners"])
    )
