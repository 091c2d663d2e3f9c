// What is done on the page is sent in its order, each when what was before is done and drawn;
// the first when the visitor's session is there (`Events.connect`). Gradio alone sends at once and
// runs in any order, a question before its document.
(() => {
  let leave;
  let last = new Promise((resolve) => { leave = resolve; });
  globalThis.qaTurn = async (data) => {
    const before = last;
    let done;
    last = new Promise((resolve) => { done = resolve; });
    await before;
    leave = done;
    return data;
  };
  globalThis.qaDone = () => leave();
})();
