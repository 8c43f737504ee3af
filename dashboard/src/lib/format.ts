/** Numbers, times and names as people read them. Pure. */
import type { Scale, Version } from "./types";

const NONE = "–";

export const percent = (share: number | null | undefined, digits = 1): string =>
  share === null || share === undefined ? NONE : `${trim(share * 100, digits)} %`;

/** A weight is percent already. */
export const weight = (value: number | null | undefined): string =>
  value === null || value === undefined ? NONE : `${trim(value, 1)} %`;

const trim = (value: number, digits: number): string => {
  const small = value !== 0 && Math.abs(value) < 1;
  return value.toLocaleString("en", { maximumFractionDigits: small ? Math.max(digits, 2) : digits });
};

export const rate = (value: number | null | undefined): string =>
  value === null || value === undefined ? NONE : `${value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 })}/s`;

export const milliseconds = (value: number | null | undefined): string => {
  if (value === null || value === undefined) return NONE;
  return value >= 1000 ? `${(value / 1000).toFixed(2)} s` : `${value < 10 ? trim(value, 1) : Math.round(value)} ms`;
};

export const count = (value: number): string => value.toLocaleString("en");

/** Seconds as "40 s", "12 min", "3 h", "5 d". */
export const span = (seconds: number): string => {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 100) return `${whole} s`;
  if (whole < 6000) return `${Math.round(whole / 60)} min`;
  if (whole < 172_800) return `${Math.round(whole / 3600)} h`;
  return `${Math.round(whole / 86_400)} d`;
};

export const unix = (at: string | number): number => (typeof at === "number" ? at : Date.parse(at) / 1000);

/** A moment in the reader's own zone: the time alone where it was today. */
export const moment = (at: number, now: number): string => {
  const date = new Date(at * 1000);
  const clock = date.toLocaleTimeString("en-GB");
  return new Date(now * 1000).toDateString() === date.toDateString()
    ? clock
    : `${date.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${clock.slice(0, 5)}`;
};

/** The part of an image's name that tells versions apart: its tag, or its digest's first characters. */
export const tag = (image: string): string => {
  const digest = /@sha256:([0-9a-f]{7})/.exec(image);
  if (digest) return digest[1]!;
  const last = image.split("/").at(-1) ?? image;
  return last.includes(":") ? last.split(":").at(-1)! : last;
};

export const versionName = (version: Version | null): string =>
  version === null ? NONE : (version.images.map(tag).join(", ") || version.revision);

/** A value of the evidence on its own scale. */
export const onScale = (value: number | null | undefined, scale: Scale): string => {
  if (value === null || value === undefined) return NONE;
  const sign = value > 0 ? "+" : value < 0 ? "−" : "";
  const size = Math.abs(value);
  if (scale === "difference") return `${sign}${trim(size * 100, size * 100 < 1 ? 2 : 1)} pts`;
  if (scale === "ratio") return `× ${value.toFixed(2)}`;
  return `${sign}${size.toPrecision(3).replace(/\.?0+$/, "")}`;
};

export const plural = (number: number, one: string, many = `${one}s`): string => `${count(number)} ${number === 1 ? one : many}`;
