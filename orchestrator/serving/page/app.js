"use strict";

const MOST_TAGS = 8;
const LABELS = 130; // pixels for the names of tags
const ROW = 28;
const element = (id) => document.getElementById(id);
let shown = null; // the answer that is drawn
let order = []; // its classes, by row of the picture
let recorder = null;

function say(text, isError = false) {
  element("status").textContent = text;
  element("status").classList.toggle("error", isError);
}

async function post(blob) {
  const response = await fetch("/tags", { method: "POST", body: blob });
  const answer = await response.json().catch(() => ({ error: `the server answered ${response.status}` }));
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

async function tag(blob, name, fromMicrophone = false) {
  say("Listening …");
  try {
    let answer;
    try {
      answer = await post(fromMicrophone ? await asWav(blob) : blob);
    } catch (error) {
      if (fromMicrophone || !/ffmpeg/.test(error.message)) throw error;
      answer = await post(await asWav(blob)); // the browser can decode what the server can't
    }
    show(answer, name, blob);
    say("");
  } catch (error) {
    say(error.message.charAt(0).toUpperCase() + error.message.slice(1), true);
  }
}

/** The sound as mono WAV of 16 bits, decoded by the browser. */
async function asWav(blob) {
  const context = new AudioContext();
  let sound;
  try {
    sound = await context.decodeAudioData(await blob.arrayBuffer());
  } catch {
    throw new Error("neither the server nor this browser can decode the sound");
  } finally {
    context.close();
  }
  const samples = new Int16Array(sound.length);
  const channels = Array.from({ length: sound.numberOfChannels }, (_, index) => sound.getChannelData(index));
  for (let i = 0; i < samples.length; i++) {
    const mean = channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length;
    samples[i] = Math.max(-32768, Math.min(32767, Math.round(mean * 32768)));
  }
  const header = new DataView(new ArrayBuffer(44));
  const write = (at, text) => [...text].forEach((letter, i) => header.setUint8(at + i, letter.charCodeAt(0)));
  write(0, "RIFF"); header.setUint32(4, 36 + samples.byteLength, true); write(8, "WAVEfmt ");
  header.setUint32(16, 16, true); header.setUint16(20, 1, true); header.setUint16(22, 1, true);
  header.setUint32(24, sound.sampleRate, true); header.setUint32(28, 2 * sound.sampleRate, true);
  header.setUint16(32, 2, true); header.setUint16(34, 16, true);
  write(36, "data"); header.setUint32(40, samples.byteLength, true);
  return new Blob([header, samples], { type: "audio/wav" });
}

function show(answer, name, blob) {
  shown = answer;
  const player = element("player");
  URL.revokeObjectURL(player.src);
  player.src = URL.createObjectURL(blob);
  element("name").textContent = `${name} (${answer.duration_s.toFixed(1)} s)`;
  const part = (found) => found.probability ?? found.score;
  const best = [...answer.tags].sort((a, b) => part(b) - part(a)).slice(0, MOST_TAGS);
  element("reading").textContent = "Point at the picture to read a score; click to listen from there.";
  element("tags").replaceChildren(...best.map((found) => {
    const item = document.createElement("li");
    const [label, bar, value] = ["span", "progress", "span"].map((kind) => document.createElement(kind));
    label.textContent = label.title = found.class.replaceAll("_", " ");
    bar.value = part(found);
    value.textContent = `${Math.round(100 * part(found))} %`;
    value.className = "value";
    item.title = `score ${found.score.toFixed(3)}`;
    item.classList.toggle("present", Boolean(found.present));
    item.append(label, bar, value);
    return item;
  }));
  const highest = (row) => Math.max(...answer.segments.map((segment) => segment.scores[row]));
  order = answer.classes.map((_, row) => row).sort((a, b) => highest(b) - highest(a)).slice(0, MOST_TAGS);
  element("result").hidden = false;
  draw();
}

function draw() {
  if (!shown) return;
  const canvas = element("timeline"), scale = window.devicePixelRatio || 1;
  const width = canvas.parentElement.clientWidth, height = ROW * order.length + 22;
  canvas.width = width * scale; canvas.height = height * scale;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d"), style = getComputedStyle(document.body);
  context.scale(scale, scale);
  context.font = "13px system-ui, sans-serif";
  context.textBaseline = "middle";
  const x = (seconds) => Math.round(LABELS + (width - LABELS - 1) * seconds / shown.duration_s);
  const highest = Math.max(0.01, ...shown.segments.flatMap((segment) => order.map((row) => segment.scores[row])));
  order.forEach((row, place) => {
    context.globalAlpha = 1;
    context.fillStyle = style.getPropertyValue("--ink");
    context.fillText(shown.classes[row].replaceAll("_", " "), 0, ROW * (place + 0.5), LABELS - 8);
    context.fillStyle = style.getPropertyValue("--wash");
    context.fillRect(LABELS, ROW * place + 2, width - LABELS, ROW - 4);
    context.fillStyle = style.getPropertyValue("--accent");
    shown.segments.forEach((segment, index) => {
      const next = shown.segments[index + 1]; // windows overlap: a window is drawn up to the start of the next
      const end = next ? next.start_s : segment.end_s;
      context.globalAlpha = segment.scores[row] / highest;
      context.fillRect(x(segment.start_s), ROW * place + 2, x(end) - x(segment.start_s), ROW - 4);
    });
  });
  context.globalAlpha = 1;
  context.fillStyle = style.getPropertyValue("--faint");
  const steps = Math.max(1, Math.floor((width - LABELS) / 90));
  for (let i = 0; i <= steps; i++) {
    const seconds = shown.duration_s * i / steps;
    context.textAlign = i === 0 ? "left" : i === steps ? "right" : "center";
    context.fillText(`${seconds.toFixed(1)} s`, x(seconds), height - 9);
  }
  context.textAlign = "left";
  const now = element("player").currentTime;
  if (now > 0) {
    context.fillStyle = style.getPropertyValue("--ink");
    context.fillRect(x(Math.min(now, shown.duration_s)), 0, 1.5, ROW * order.length);
  }
}

function place(event) {
  const box = element("timeline").getBoundingClientRect();
  const seconds = (event.clientX - box.left - LABELS) / (box.width - LABELS - 1) * shown.duration_s;
  return { seconds, row: order[Math.floor((event.clientY - box.top) / ROW)] };
}

element("timeline").addEventListener("pointermove", (event) => {
  const { seconds, row } = place(event);
  const segment = shown.segments.findLast((one) => one.start_s <= seconds);
  if (!segment || row === undefined) return;
  const times = `${segment.start_s.toFixed(1)} to ${segment.end_s.toFixed(1)} s`;
  element("reading").textContent = `${shown.classes[row].replaceAll("_", " ")}, ${times}: score ${segment.scores[row]}`;
});
element("timeline").addEventListener("click", (event) => {
  const { seconds } = place(event);
  if (seconds < 0) return;
  element("player").currentTime = seconds;
  element("player").play();
});
element("player").addEventListener("timeupdate", draw);
window.addEventListener("resize", draw);

element("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) tag(file, file.name);
  event.target.value = "";
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    element("drop").classList.toggle("over", kind === "dragover");
    const file = kind === "drop" && event.dataTransfer.files[0];
    if (file) tag(file, file.name);
  });
}
element("record").addEventListener("click", async () => {
  if (recorder) return recorder.stop();
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    const parts = [];
    recorder = new MediaRecorder(stream);
    recorder.ondataavailable = (event) => parts.push(event.data);
    recorder.onstop = () => {
      stream.getTracks().forEach((track) => track.stop());
      element("record").textContent = "Record";
      element("record").classList.remove("recording");
      const sound = new Blob(parts, { type: recorder.mimeType });
      recorder = null;
      tag(sound, "Recording", true);
    };
    recorder.start();
    element("record").textContent = "Stop";
    element("record").classList.add("recording");
    say("Recording …");
  } catch (error) {
    say(`The microphone can't be used: ${error.message}`, true);
  }
});
