// What the receiver's numbers come to, in one sentence. Pure.
import { counted, duration, rate } from "../format.js";

/** @param {any} body of /api/v1/receiver @returns {import("../parts/verdict.js").Said} */
export function receiverVerdict(body) {
  if (body.verdict) return body.verdict;
  const failing = body.sinks.filter((/** @type {any} */ sink) => sink.last_error && sink.lag_records > 0);
  const gateways = counted(body.gateways.length, "gateway");
  if (body.link.state !== "online")
    return {
      level: "warning",
      word: "Not connected",
      sentence: `The broker is not reached${body.link.last_error ? ` (${body.link.last_error})` : ""}; it keeps the frames meanwhile.`,
    };
  if (failing.length)
    return {
      level: "warning",
      word: "Held up",
      sentence: `The sink ${failing[0].name} does not take what arrived; nothing is acknowledged before it has it.`,
    };
  if (body.missing > 0)
    return {
      level: "critical",
      word: "Records are missing",
      sentence: `${counted(body.missing, "record")} of ${gateways} did not arrive and were not declared as dropped.`,
    };
  if (body.gateways.length === 0)
    return { level: "ok", word: "Waiting for the first frame", sentence: "The broker is reached; no gateway has sent anything yet." };
  const lag = Math.max(0, ...body.sinks.map((/** @type {any} */ sink) => sink.lag_s ?? 0));
  const dropped = body.dropped ? `; gateways gave up ${counted(body.dropped, "record")}, and said why` : "";
  return {
    level: "ok",
    word: "Receiving",
    sentence: `${gateways}, ${rate(body.records_per_s)}; every sink has what arrived${lag >= 1 ? ` but for the last ${duration(lag)}` : ""}; nothing is missing${dropped}.`,
  };
}
