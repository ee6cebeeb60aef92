"""Non-maximum suppression as part of an ONNX graph, so that only what is kept leaves the runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

_DENSE = "dense_"
_POOLED_SHARE = 0.5  # of the confidence of a box, as in models/decode.py

# ONNX's own notation: https://onnx.ai/onnx/repo-docs/Syntax.html
_GRAPH = """
<ir_version: {ir}, opset_import: ["" : {opset}]>
suppress (
    float[batch, anchors, 4] dense_boxes, float[batch, anchors] dense_scores, int64[batch, anchors] dense_labels{looks}
) => (
    float[detections, 4] boxes, float[detections] scores, int64[detections] labels, int64[detections] image_indices
    {embeddings}
) {{
    nms_second = Constant<value_ints = [1]>()
    nms_zero = Constant<value_float = 0.0>()
    {classes}
    nms_limit = Constant<value_ints = [{max_det}]>()
    nms_iou = Constant<value_floats = [{iou}]>()
    nms_conf = Constant<value_floats = [{conf}]>()
    nms_kept = NonMaxSuppression(dense_boxes, nms_scores, nms_limit, nms_iou, nms_conf)
    nms_columns = Constant<value_ints = [0, 2]>()
    nms_at = Gather<axis = 1>(nms_kept, nms_columns)
    boxes = GatherND(dense_boxes, nms_at)
    scores = GatherND(dense_scores, nms_at)
    labels = GatherND(dense_labels, nms_at)
    nms_first = Constant<value_int = 0>()
    image_indices = Gather<axis = 1>(nms_at, nms_first)
    {pooled}
}}
"""
_ONE_CLASS = "nms_scores = Unsqueeze(dense_scores, nms_second)"
_CLASSES = """
    nms_likeliest = Unsqueeze(dense_scores, nms_second)
    nms_labels = Unsqueeze(dense_labels, nms_second)
    nms_range = Constant<value_ints = [{numbers}]>()
    nms_across = Constant<value_ints = [0, 2]>()
    nms_classes = Unsqueeze(nms_range, nms_across)
    nms_is_class = Equal(nms_labels, nms_classes)
    nms_scores = Where(nms_is_class, nms_likeliest, nms_zero)"""
_UNIT_NORM = """
    {name}_norm = ReduceL2<keepdims = 1>({name}, nms_second)
    {name}_least = Constant<value_float = 1e-12>()
    {name}_divisor = Max({name}_norm, {name}_least)
    {to} = Div({name}, {name}_divisor)"""
_BEST = """
    nms_look = GatherND(dense_embeddings, nms_at)""" + _UNIT_NORM.format(name="nms_look", to="embeddings")
# Candidates in the columns, kept boxes in the rows; the same decisions as _same_objects in suppression.py.
_MEAN = (
    """
    nms_least_share = Constant<value_float = {share}>()
    nms_one = Constant<value_float = 1.0>()
    nms_least_score = Mul(nms_conf, nms_least_share)
    nms_enough = Greater(dense_scores, nms_least_score)
    nms_nonzero = NonZero(nms_enough)
    nms_from = Transpose<perm = [1, 0]>(nms_nonzero)
    nms_other_boxes = GatherND(dense_boxes, nms_from)
    nms_other_boxes_t = Transpose<perm = [1, 0]>(nms_other_boxes)
    nms_other_scores = GatherND(dense_scores, nms_from)
    nms_other_labels = GatherND(dense_labels, nms_from)
    nms_x1, nms_y1, nms_x2, nms_y2 = Split<axis = 1, num_outputs = 4>(boxes)
    nms_ox1, nms_oy1, nms_ox2, nms_oy2 = Split<axis = 0, num_outputs = 4>(nms_other_boxes_t)
    nms_left = Max(nms_x1, nms_ox1)
    nms_right = Min(nms_x2, nms_ox2)
    nms_top = Max(nms_y1, nms_oy1)
    nms_bottom = Min(nms_y2, nms_oy2)
    nms_across_0 = Sub(nms_right, nms_left)
    nms_down_0 = Sub(nms_bottom, nms_top)
    nms_across_1 = Max(nms_across_0, nms_zero)
    nms_down_1 = Max(nms_down_0, nms_zero)
    nms_shared = Mul(nms_across_1, nms_down_1)
    nms_w = Sub(nms_x2, nms_x1)
    nms_h = Sub(nms_y2, nms_y1)
    nms_area = Mul(nms_w, nms_h)
    nms_ow = Sub(nms_ox2, nms_ox1)
    nms_oh = Sub(nms_oy2, nms_oy1)
    nms_other_area = Mul(nms_ow, nms_oh)
    nms_areas = Add(nms_area, nms_other_area)
    nms_union = Sub(nms_areas, nms_shared)
    nms_overlap = Div(nms_shared, nms_union)
    nms_overlaps = Greater(nms_overlap, nms_iou)
    nms_scores_c = Unsqueeze(scores, nms_second)
    nms_share = Div(nms_other_scores, nms_scores_c)
    nms_sure = GreaterOrEqual(nms_share, nms_least_share)
    nms_no_surer = LessOrEqual(nms_share, nms_one)
    nms_labels_c = Unsqueeze(labels, nms_second)
    nms_same_label = Equal(nms_labels_c, nms_other_labels)
    nms_image, nms_anchor = Split<axis = 1, num_outputs = 2>(nms_at)
    nms_other_image, nms_other_anchor = Split<axis = 0, num_outputs = 2>(nms_nonzero)
    nms_same_image = Equal(nms_image, nms_other_image)
    nms_same_anchor = Equal(nms_anchor, nms_other_anchor)
    nms_and_1 = And(nms_overlaps, nms_sure)
    nms_and_2 = And(nms_and_1, nms_no_surer)
    nms_and_3 = And(nms_and_2, nms_same_label)
    nms_or = Or(nms_and_3, nms_same_anchor)
    nms_same = And(nms_or, nms_same_image)
    nms_weights = Where(nms_same, nms_other_scores, nms_zero)
    nms_look = GatherND(dense_embeddings, nms_from)"""
    + _UNIT_NORM.format(name="nms_look", to="nms_unit")
    + """
    nms_sums = MatMul(nms_weights, nms_unit)"""
    + _UNIT_NORM.format(name="nms_sums", to="embeddings")
)


def add_suppression(
    model: onnx.ModelProto,
    num_classes: int,
    conf: float,
    iou: float,
    max_det: int,
    pooling: str = "best",
    keep_dense: bool = False,
) -> onnx.ModelProto:
    """Append the suppression to a graph of dense outputs.

    Args:
        model: with the outputs boxes, scores, labels and maybe embeddings (not normalised) of
            :class:`~jde_lightning.models.export_graph.DetectionGraph`; not changed.
        num_classes: number of classes.
        conf: confidence that a detection must exceed.
        iou: overlap above which the less confident of two boxes of a class goes.
        max_det: most detections of an image and class.
        pooling: ``best`` or ``mean``, see :func:`jde_lightning.models.decode.decode`.
        keep_dense: whether the dense outputs stay, as ``dense_boxes`` and so on.

    Returns:
        A model whose outputs hold the ``N`` detections of all images, one image after the other, class by class and
        the most confident first: ``boxes (N, 4)``, ``scores (N,)``, ``labels (N,)``, ``image_indices (N,)`` and
        ``embeddings (N, D)`` of unit norm.
    """
    from onnx import parser  # of the extra `export`

    model = _with_dense_names(model)
    looks = any(output.name == "dense_embeddings" for output in model.graph.output)
    pooled = {"best": _BEST, "mean": _MEAN.format(share=_POOLED_SHARE)}[pooling] if looks else ""
    text = _GRAPH.format(
        ir=model.ir_version,
        opset=next(each.version for each in model.opset_import if each.domain in ("", "ai.onnx")),
        looks=", float[batch, anchors, width] dense_embeddings" if looks else "",
        embeddings=", float[detections, width] embeddings" if looks else "",
        classes=_ONE_CLASS if num_classes == 1 else _CLASSES.format(numbers=", ".join(map(str, range(num_classes)))),
        pooled=pooled,
        max_det=max_det,
        iou=repr(float(iou)),
        conf=repr(float(conf)),
    )
    suppression = parser.parse_model(text).graph
    if looks:
        width = next(o for o in model.graph.output if o.name == "dense_embeddings").type.tensor_type.shape.dim[2]
        suppression.output[-1].type.tensor_type.shape.dim[1].dim_value = width.dim_value
    outputs = [*suppression.output, *(model.graph.output if keep_dense else [])]
    model.graph.node.extend(suppression.node)
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    return model


def _with_dense_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose outputs are called ``dense_boxes`` and so on."""
    copy = type(model)()
    copy.CopyFrom(model)
    names = {output.name for output in copy.graph.output}
    for node in copy.graph.node:
        for where in (node.input, node.output):
            for position, name in enumerate(where):
                if name in names:
                    where[position] = _DENSE + name
    for output in copy.graph.output:
        output.name = _DENSE + output.name
    return copy
