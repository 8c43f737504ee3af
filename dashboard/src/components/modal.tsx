/** A dialog: the browser's own, so that focus, Escape and what lies behind it behave as everywhere. */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

export const Modal = (props: { title: string; onClose: () => void; children: ComponentChildren }): JSX.Element => {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const element = dialog.current!;
    element.showModal();
    return () => element.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      class="modal"
      aria-labelledby="modal-title"
      onCancel={(event) => {
        event.preventDefault();
        props.onClose();
      }}
      onMouseDown={(event) => {
        if (event.target === dialog.current) props.onClose();
      }}
    >
      <div class="inside">
        <h2 id="modal-title">{props.title}</h2>
        {props.children}
      </div>
    </dialog>
  );
};
