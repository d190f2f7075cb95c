defmodule Ram.ClusterTest do
  # Nodes are VMs of their own, controlled over standard input and output: those of the suites.
  use ExUnit.Case

  @moduletag timeout: 120_000

  setup do
    unique = "ram_cluster_test_#{System.pid()}_#{System.unique_integer([:positive])}"
    folder = Path.join(System.tmp_dir!(), unique)
    File.mkdir!(folder)
    settings = [storage: :memory]
    run = :ram_peers.start(3, to_charlist(folder), settings, :direct)

    # Most of these tests are of what fails, which nodes log.
    for i <- 1..3, do: :ok = call(run, i, :logger, :remove_handler, [:default])

    on_exit(fn ->
      :ram_peers.stop(run)
      File.rm_rf!(folder)
    end)

    %{run: run, nodes: for(i <- 1..3, do: :ram_peers.node(run, i))}
  end

  test "trees on three nodes start when the cluster serves", %{run: run, nodes: nodes} do
    starts = for i <- 1..3, do: Task.async(fn -> start_tree(run, i, nodes: nodes) end)
    for {:ok, tree} <- Task.await_many(starts, 60_000), do: assert(is_pid(tree))
    :ok = call(run, 1, Ram, :put, ["k", "v"])
    for i <- 1..3, do: assert(call(run, i, Ram, :get, ["k"]) == "v")
  end

  test "a tree does not start without its node, which the error names", %{run: run, nodes: nodes} do
    :ram_peers.kill(run, 3)
    assert {:error, reason} = start_tree(run, 1, nodes: nodes, wait_ms: 0)
    assert {:shutdown, {:failed_to_start_child, Ram.Cluster, {%Ram.Error{} = error, _}}} = reason
    assert error.reason == {:unreachable, [Enum.at(nodes, 2)]}
    # As Mix and the logger show it.
    assert Exception.format_exit(reason) =~ "** (Ram.Error) "
    assert Exception.format_exit(reason) =~ "#{Enum.at(nodes, 2)}"
  end

  test "a tree starts where this node serves and another needs a hand", %{run: run, nodes: nodes} do
    {:ok, _tree} = start_tree(run, 1, nodes: nodes)
    [_one, _two, three] = nodes
    :ok = call(run, 3, :ram, :stop, [])
    :ok = call(run, 3, :application, :set_env, [:ram, :heartbeat_ms, :never])
    log = Path.join(:ram_peers.folder(run), "log")
    :ok = call(run, 1, Ram.TestTree, :log_to, [log])
    assert {:ok, _tree} = start_tree(run, 1, nodes: nodes)
    :ram_peers.eventually(fn -> File.read!(log) =~ ~r/warning.*#{three}/s end)
  end

  test "a tree beside the cluster does not start, and says why", %{run: run, nodes: nodes} do
    [one, two, three] = nodes
    assert {:error, reason} = start_tree(run, 3, nodes: [one, two])
    assert {:shutdown, {:failed_to_start_child, Ram.Cluster, {%ArgumentError{}, _}}} = reason
    assert Exception.format_exit(reason) =~ "this node, #{inspect(three)}, is none of the nodes"
    # Once it is a member an older list does no harm.
    :ok = call(run, 1, Ram, :add_node, [three])
    assert {:ok, _tree} = start_tree(run, 3, nodes: [one, two])
  end

  test "options of start_cluster/2 are passed on", %{run: run, nodes: nodes} do
    assert {:error, reason} = start_tree(run, 1, nodes: nodes, storage: :disk, wait_ms: 0)
    assert {:shutdown, {:failed_to_start_child, Ram.Cluster, {error, _}}} = reason
    assert {:storage_mismatch, _node, :memory, :disk} = error.reason
  end

  test "a list of nodes is required" do
    assert_raise KeyError, fn -> Ram.Cluster.start_link(wait_ms: 0) end
  end

  defp start_tree(run, i, options) do
    call(run, i, Ram.TestTree, :start, [options])
  end

  defp call(run, i, module, function, arguments) do
    :ram_peers.call(run, i, module, function, arguments)
  end
end
