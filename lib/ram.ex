defmodule Ram do
  @moduledoc """
  A consistent, distributed ETS table.

  Every node of a cluster holds all the data in memory. Writes go through Raft: when `put/2`
  returns, a majority of the nodes has the change on disk. Reads are linearizable: `get/1` on any
  node shows what was acknowledged on any other before it was called.

      iex> Ram.put({:user, 1}, %{name: "Ada"})
      :ok
      iex> Ram.get({:user, 1})
      %{name: "Ada"}
      iex> Ram.fetch({:user, 2})
      :error

  Keys and values are any term. Keys are equal when they are `===`: `1` and `1.0` are two keys. A
  key must not hold a local function. `Ram.Cluster` makes the cluster when your application starts.

  This is the face of the Erlang module `:ram` for Elixir, with the same data: `:ram.get("k")` reads
  what `Ram.put("k", 1)` wrote.

  ## Errors

  Operations on keys return plain values and raise `Ram.Error` when the system could not do it; its
  `outcome` tells whether a write may have happened all the same. Operations on the cluster return
  `:ok` or `{:error, %Ram.Error{}}`, and have variants with `!` that raise it; on a node that runs
  no member they raise it too, except `start_cluster/2`, `stop_cluster/1` and `status/0`, which may
  be called anywhere. A wrong argument raises `ArgumentError`.

      try do
        Ram.put(key, value)
      rescue
        error in Ram.Error ->
          case error.outcome do
            :not_applied -> retry_elsewhere()
            :unknown -> read_before_retry()
          end
      end
  """

  @type key :: term()
  @type value :: term()
  @typedoc """
  Who may answer a read.

    * `:lease`: linearizable; this node alone while it holds a lease of the leader, at the price of
      an ETS lookup, and a quorum otherwise.
    * `:quorum`: linearizable, whatever clocks do; a round of messages with a majority, shared by
      all reads that wait.
    * `:local`: what this node has, at once, without a majority too. It may be old.
  """
  @type reads :: :ram.reads()
  @typedoc """
  Options of reads: who may answer; a revision that is waited for on this node (`at_least`), so that
  its write is seen, also with `reads: :local`; `table` and `timeout`.
  """
  @type read_option :: {:reads, reads()} | {:at_least, rev()} | table_option()
  @typedoc """
  Options of scans: those of reads, and

    * `limit`: the answer is `{items, continuation}`, with so many, or `{items, :done}` with the
      last.
    * `continuation`: the same call goes on, at the same revision, for a minute after the last one;
      then it is a `Ram.Error` with the reason `{:expired, rev}`.
    * `reverse`: from the last key of an ordered table to the first.
    * `keys_only`: keys in place of pairs.
  """
  @type scan_option :: {:keys_only, boolean()} | select_option()
  @typedoc "Options of `select/2`: those of scans but `keys_only`."
  @type select_option ::
          {:limit, pos_integer()}
          | {:continuation, :ram_scan.continuation()}
          | {:reverse, boolean()}
          | read_option()
  @typedoc "What scans answer: a list, or with `limit` a part of it and how to go on."
  @type entries :: [term()] | {[term()], :ram_scan.continuation() | :done}
  @typedoc "A revision: names a write. Later writes have larger ones."
  @type rev :: :ram.rev()
  @typedoc """
  What is known of a key beside its value: `rev` of its last write, `created_rev` of the one that
  created it, `version`, 1 when it is created and one more with each write, and `ttl`, what is left
  of its time to live: see `ttl/2`.
  """
  @type meta :: :ram.meta()
  @typedoc "What a key is expected to be; a value is compared with `===`."
  @type expected :: :absent | :present | {:rev, rev()} | {:value, value()}
  @type current :: {:ok, value(), meta()} | :error
  @typedoc """
  Options of all calls on keys that have options: the table, `:default` without it, and for how
  many milliseconds an answer is waited for.
  """
  @type table_option :: {:table, atom()} | {:timeout, timeout()}
  @typedoc "For how many milliseconds a key stays, 10 years at most: see `touch/3`."
  @type ttl :: pos_integer() | :infinity
  @type put_option :: {:ttl, ttl()} | table_option()
  @typedoc "Options of `lock/2`: for how many milliseconds it is waited for, 0 without it."
  @type lock_option :: {:wait, non_neg_integer()} | {:timeout, timeout()}
  @typedoc "Options of `watch/2`."
  @type watch_option ::
          {:from, rev()}
          | {:initial, boolean()}
          | {:old, boolean()}
          | {:to, pid()}
          | {:events_max, pos_integer()}
          | {:bytes_max, pos_integer()}
          | table_option()
  @type write_option ::
          {:return, :ok | :rev | :old} | {:expect, expected()} | put_option()
  @type written :: :ok | {:ok, rev()} | {:ok, value()} | :error | {:conflict, current()}
  @type start_option :: {:storage, :disk | :memory} | {:wait_ms, non_neg_integer()}
  @type result :: :ok | {:error, Ram.Error.t()}

  # What :ram raises, as Ram.Error. Not a function with a fun: reads take well below a microsecond.
  defmacrop raising(call) do
    quote do
      try do
        unquote(call)
      catch
        :error, reason -> Ram.Error.reraise(reason, __STACKTRACE__)
      end
    end
  end

  ## Keys

  @doc """
  The value of a key, or `default` when the key is absent.

  The option `reads` says who may answer (`t:reads/0`); without it, it is as the application
  environment of `:ram` says, by default `:lease`. The default comes before options: in
  `Ram.get(key, reads: :local)` the list would be the default, and `fetch/2` needs none.

      iex> Ram.put("colour", :blue)
      iex> Ram.get("colour")
      :blue
      iex> Ram.get("shape")
      nil
      iex> Ram.get("shape", :round, reads: :local)
      :round
  """
  @spec get(key(), default, [read_option()]) :: value() | default when default: term()
  def get(key, default \\ nil, options \\ [])
  def get(key, default, []), do: raising(:ram.get(key, default))
  def get(key, default, options), do: raising(:ram.get(key, default, Map.new(options)))

  @doc """
  The value of a key as `{:ok, value}`, or `:error` when the key is absent.

  Options as those of `get/3`.

      iex> Ram.put(:answer, nil)
      iex> Ram.fetch(:answer)
      {:ok, nil}
      iex> Ram.fetch(:question, reads: :quorum)
      :error
  """
  @spec fetch(key(), [read_option()]) :: {:ok, value()} | :error
  def fetch(key, options \\ [])
  def fetch(key, []), do: raising(:ram.fetch(key))
  def fetch(key, options), do: raising(:ram.fetch(key, Map.new(options)))

  @doc """
  The value of a key; raises `KeyError` when the key is absent.

  Options as those of `get/3`.

      iex> Ram.put(:answer, 42)
      iex> Ram.fetch!(:answer)
      42
      iex> Ram.fetch!(:question)
      ** (KeyError) key :question not found in ram
  """
  @spec fetch!(key(), [read_option()]) :: value()
  def fetch!(key, options \\ []) do
    case fetch(key, options) do
      {:ok, value} -> value
      :error -> raise KeyError, key: key, message: "key #{inspect(key)} not found in ram"
    end
  end

  @doc """
  The value of a key with its metadata (`t:meta/0`), or `:error` when the key is absent.

      iex> Ram.put(:lantern, :on)
      iex> {:ok, :on, %{version: 1, rev: rev}} = Ram.lookup(:lantern)
      iex> {:ok, :on, %{created_rev: ^rev}} = Ram.lookup(:lantern, reads: :local, at_least: rev)
      iex> Ram.lookup(:darkness)
      :error
  """
  @spec lookup(key(), [read_option()]) :: {:ok, value(), meta()} | :error
  def lookup(key, options \\ [])
  def lookup(key, []), do: raising(:ram.lookup(key))
  def lookup(key, options), do: raising(:ram.lookup(key, Map.new(options)))

  @doc """
  Whether a key is there.

      iex> Ram.member(:unicorn)
      false
      iex> Ram.put(:horse, nil)
      iex> Ram.member(:horse, reads: :quorum)
      true
  """
  @spec member(key(), [read_option()]) :: boolean()
  def member(key, options \\ [])
  def member(key, []), do: raising(:ram.member(key))
  def member(key, options), do: raising(:ram.member(key, Map.new(options)))

  @doc """
  The values of several keys, any enumerable of them, at one revision; those that are absent are
  left out.

      iex> Ram.put_many(red: 1, green: 2)
      iex> Ram.get_many([:red, :green, :infrared])
      %{red: 1, green: 2}
  """
  @spec get_many(Enumerable.t(), [read_option()]) :: %{key() => value()}
  def get_many(keys, options \\ []) do
    {keys, options} = {Enum.to_list(keys), Map.new(options)}
    raising(:ram.get_many(keys, options))
  end

  @doc """
  Sets the value of a key.

      iex> Ram.put({:session, "4f1c"}, %{user: 1})
      :ok
      iex> Ram.put({:session, "4f1c"}, %{user: 2}, return: :old)
      {:ok, %{user: 1}}
      iex> {:conflict, {:ok, user, meta}} = Ram.put({:session, "4f1c"}, nil, expect: :absent)
      iex> {user, meta.version}
      {%{user: 2}, 2}

  Options:

    * `return`: `:ok`, or `:rev` for `{:ok, rev}`, the revision of the write, or `:old` for
      `{:ok, old}`, the value that it replaced, and `:error` when there was none.
    * `expect`: what the key has to be (`t:expected/0`). If it is not so, nothing is changed and the
      answer is `{:conflict, current}`. Of all who expect the same, one succeeds.
    * `ttl`: for how long the key stays: see `touch/3`. A put without it makes the key stay.
    * `table` and `timeout`: see `t:table_option/0`.
  """
  @spec put(key(), value(), [write_option()]) :: written()
  def put(key, value, options \\ [])
  def put(key, value, []), do: raising(:ram.put(key, value))
  def put(key, value, options), do: raising(:ram.put(key, value, Map.new(options)))

  @doc """
  Sets the value of a key that is absent; `false` when it is there, and nothing is changed.

      iex> Ram.put_new(:chair, :ada)
      true
      iex> Ram.put_new(:chair, :bob)
      false
  """
  @spec put_new(key(), value(), [put_option()]) :: boolean()
  def put_new(key, value, options \\ [])
  def put_new(key, value, []), do: raising(:ram.put_new(key, value))
  def put_new(key, value, options), do: raising(:ram.put_new(key, value, Map.new(options)))

  @doc """
  Compare and set: sets a key that is as expected, and returns the revision of the write.

      iex> {:ok, rev} = Ram.cas(:turn, :absent, :ada)
      iex> {:ok, next} = Ram.cas(:turn, {:rev, rev}, :bob)
      iex> next > rev
      true
      iex> {:conflict, {:ok, :bob, %{rev: ^next}}} = Ram.cas(:turn, {:value, :ada}, :eve)
      iex> Ram.get(:turn)
      :bob
  """
  @spec cas(key(), expected(), value(), [put_option()]) :: {:ok, rev()} | {:conflict, current()}
  def cas(key, expected, value, options \\ [])
  def cas(key, expected, value, []), do: raising(:ram.cas(key, expected, value))

  def cas(key, expected, value, options) do
    options = Map.new(options)
    raising(:ram.cas(key, expected, value, options))
  end

  @doc """
  Gives a key a time to live, in milliseconds from now on; `false` when it is absent.

  When it is over the key goes, for all at once, as if it was deleted: not before, and about two
  seconds after that at most. A new leader gives every key its full time again. The time begins with
  each put that has the option `ttl`, and with each touch. A put without it ends it; `update/4`,
  `get_and_update/3` and `update_counter/3` leave it as it is. With `:infinity` the key stays.

      iex> Ram.put({:session, 7}, :ada, ttl: 60_000)
      iex> Ram.touch({:session, 7}, 90_000)
      true
      iex> Ram.touch({:session, 8}, :infinity)
      false
  """
  @spec touch(key(), ttl(), [table_option()]) :: boolean()
  def touch(key, ttl, options \\ [])
  def touch(key, ttl, []), do: raising(:ram.touch(key, ttl))
  def touch(key, ttl, options), do: raising(:ram.touch(key, ttl, Map.new(options)))

  @doc """
  What is left of the time to live of a key, in milliseconds as this node reckons, or `:infinity`;
  `:error` when the key is absent.

      iex> Ram.put(:ticket, 7, ttl: 60_000)
      iex> {:ok, left} = Ram.ttl(:ticket)
      iex> left in 1_000..60_000
      true
      iex> Ram.put(:ticket, 7)
      iex> Ram.ttl(:ticket, reads: :quorum)
      {:ok, :infinity}
  """
  @spec ttl(key(), [read_option()]) :: {:ok, non_neg_integer() | :infinity} | :error
  def ttl(key, options \\ [])
  def ttl(key, []), do: raising(:ram.ttl(key))
  def ttl(key, options), do: raising(:ram.ttl(key, Map.new(options)))

  @doc """
  Sets several keys at once, from a map or any enumerable of pairs: all or none, and nobody sees
  some of them set and others not yet.

  All travel in one log entry, so this costs about as much as one `put/2`. Of a key that comes twice
  the last value stays. All together may have as many bytes as the largest key and value; more is a
  `Ram.Error` with the reason `{:batch_too_large, bytes_max}`.

      iex> Ram.put_many(%{ada: 36, bob: 25})
      :ok
      iex> Ram.get(:ada)
      36
      iex> Ram.put_many(for n <- 1..3, do: {{:square, n}, n * n})
      :ok
      iex> Ram.get({:square, 3})
      9

  With `return: :rev` it answers `{:ok, rev}`, the revision that all of them have.
  """
  @spec put_many(Enumerable.t(), [{:return, :ok | :rev} | put_option()]) :: :ok | {:ok, rev()}
  def put_many(entries, options \\ []) do
    {entries, options} = {Enum.to_list(entries), Map.new(options)}

    case options do
      none when none == %{} -> raising(:ram.put_many(entries))
      _ -> raising(:ram.put_many(entries, options))
    end
  end

  @doc """
  Sets a key to `fun.(value)` atomically; an absent key to `default`, without calling `fun`.

  `fun` runs in the calling process, and again when another node changed the key meanwhile, so it
  should have no side effects. It must not update the same key. What its last run raises is raised
  here, and nothing is changed then.

      iex> Ram.update(:visits, 1, &(&1 + 1))
      :ok
      iex> Ram.update(:visits, 1, &(&1 + 1))
      :ok
      iex> Ram.update(:visits, 1, &(&1 + 1), return: :new)
      {:ok, 3}

  Options, beside those of `t:table_option/0`:

    * `return`: `:ok`, or `:new` for `{:ok, new}`, or `:rev` for `{:ok, rev}`.
    * `retries`: how often `fun` runs again, `:infinity` without it. Beyond that it is a `Ram.Error`
      with the reason `{:conflict, key}`.
  """
  @spec update(key(), default :: value(), (value() -> value()), [
          {:return, :ok | :new | :rev} | {:retries, :infinity | non_neg_integer()} | table_option()
        ]) :: :ok | {:ok, value()} | {:ok, rev()}
  def update(key, default, fun, options \\ [])
  def update(key, default, fun, []), do: raising(:ram.update(key, default, fun))

  def update(key, default, fun, options) do
    options = Map.new(options)
    raising(:ram.update(key, default, fun, options))
  end

  @doc """
  Changes a key as `fun` says, atomically, and answers what it says.

  `fun` gets `{:ok, value}`, or `:error` when the key is absent, and returns `{:put, new, reply}`,
  `{:delete, reply}` or `{:keep, reply}`. It runs in the calling process, and again when the key was
  changed meanwhile; `retries` as in `update/4`. It must not update the same key.

      iex> Ram.put(:queue, [:a, :b])
      iex> pop = fn {:ok, [first | rest]} -> {:put, rest, first}; _ -> {:keep, nil} end
      iex> for _ <- 1..3, do: Ram.get_and_update(:queue, pop)
      [:a, :b, nil]
  """
  @spec get_and_update(
          key(),
          ({:ok, value()} | :error -> {:put, value(), reply} | {:delete, reply} | {:keep, reply}),
          [{:retries, :infinity | non_neg_integer()} | table_option()]
        ) :: reply
        when reply: term()
  def get_and_update(key, fun, options \\ [])
  def get_and_update(key, fun, []), do: raising(:ram.get_and_update(key, fun))

  def get_and_update(key, fun, options) do
    options = Map.new(options)
    raising(:ram.get_and_update(key, fun, options))
  end

  @doc """
  Adds to the integer that a key holds, and returns the sum; an absent key counts from `default`.

  It is counted where the data is, so it never has to be tried again. With
  `{increment, threshold, set_to}` it is set to `set_to` when the sum is above the threshold, or
  below it where the increment is negative. Another value than an integer is a `Ram.Error` with the
  reason `{:not_an_integer, key}`.

      iex> Ram.update_counter(:hits, 1)
      1
      iex> Ram.update_counter(:hits, {5, 5, 0})
      0
      iex> Ram.update_counter(:lives, -1, 3)
      2
  """
  @spec update_counter(key(), :ram.count(), integer(), [table_option()]) :: integer()
  def update_counter(key, count, default \\ 0, options \\ [])
  def update_counter(key, count, 0, []), do: raising(:ram.update_counter(key, count))
  def update_counter(key, count, default, []), do: raising(:ram.update_counter(key, count, default))

  def update_counter(key, count, default, options) do
    options = Map.new(options)
    raising(:ram.update_counter(key, count, default, options))
  end

  @doc """
  Deletes a key; one that is absent is no error.

      iex> Ram.put(:short, :lived)
      iex> Ram.delete(:short)
      :ok
      iex> Ram.fetch(:short)
      :error
      iex> Ram.delete(:short, return: :old)
      :error

  Options as those of `put/3`; with `return` `:rev` or `:old` an absent key is `:error`.
  """
  @spec delete(key(), [write_option()]) :: written()
  def delete(key, options \\ [])
  def delete(key, []), do: raising(:ram.delete(key))
  def delete(key, options), do: raising(:ram.delete(key, Map.new(options)))

  @doc """
  Deletes a key and returns the value that it had: of all who take it one gets it.

      iex> Ram.put(:job, 7)
      iex> Ram.take(:job)
      {:ok, 7}
      iex> Ram.take(:job)
      :error
  """
  @spec take(key(), [table_option()]) :: {:ok, value()} | :error
  def take(key, options \\ [])
  def take(key, []), do: raising(:ram.take(key))
  def take(key, options), do: raising(:ram.take(key, Map.new(options)))

  @doc """
  Deletes several keys at once, as `put_many/1` sets them; those that are absent are no error.

      iex> Ram.put_many(one: 1, two: 2)
      iex> Ram.delete_many([:one, :two, :three])
      :ok
      iex> Ram.fetch(:one)
      :error

  Options as those of `put_many/2`.
  """
  @spec delete_many(Enumerable.t(), [{:return, :ok | :rev} | table_option()]) ::
          :ok | {:ok, rev()}
  def delete_many(keys, options \\ []) do
    {keys, options} = {Enum.to_list(keys), Map.new(options)}

    case options do
      none when none == %{} -> raising(:ram.delete_many(keys))
      _ -> raising(:ram.delete_many(keys, options))
    end
  end

  @doc """
  Deletes the keys of an ordered table from one to another, both included; how many there were.

  `:"$first"` and `:"$last"` stand for the ends, `{:key, key}` for any key literally.

      iex> Ram.create_table(:days, type: :ordered_set)
      iex> Ram.put_many(for(day <- 1..31, do: {day, :free}), table: :days)
      iex> Ram.delete_range(1, 7, table: :days)
      7
      iex> Ram.delete_range(:"$first", :"$last", table: :days)
      24
  """
  @spec delete_range(from :: key(), to :: key(), [table_option()]) :: non_neg_integer()
  def delete_range(from, to, options \\ [])
  def delete_range(from, to, []), do: raising(:ram.delete_range(from, to))
  def delete_range(from, to, options), do: raising(:ram.delete_range(from, to, Map.new(options)))

  @doc """
  Does several things at once, all or nothing, where conditions decide which.

  If all conditions hold, the operations of the second list are done, else those of the third. The
  answer tells which, with a result for each operation that was done and the revision of the write.

  Conditions are `{key, :absent}`, `{key, :present}`, `{key, :"=:=", value}` and
  `{key, :rev, := | :< | :>, rev}`; operations `{:get, key}`, `{:put, key, value}`,
  `{:delete, key}`, `{:take, key}` and `{:update_counter, key, count}`. `{:in, table, what}` is one
  of either on another table.

      iex> Ram.put_many(ada: 10, bob: 0)
      iex> pay = [{:put, :ada, 3}, {:update_counter, :bob, 7}]
      iex> {true, [:ok, 7], rev} = Ram.txn([{:ada, :"=:=", 10}], pay, [{:get, :ada}])
      iex> {false, [{:ok, 3}], ^rev} = Ram.txn([{:ada, :"=:=", 10}], pay, [{:get, :ada}])
      iex> Ram.get(:bob)
      7
  """
  @spec txn(
          [:ram.txn_condition()],
          [:ram.txn_operation()],
          [:ram.txn_operation()],
          [table_option()]
        ) :: {boolean(), [:ram.txn_result()], rev()}
  def txn(conditions, operations, otherwise, options \\ [])

  def txn(conditions, operations, otherwise, []),
    do: raising(:ram.txn(conditions, operations, otherwise))

  def txn(conditions, operations, otherwise, options) do
    options = Map.new(options)
    raising(:ram.txn(conditions, operations, otherwise, options))
  end

  @doc """
  Runs a function that reads and writes by `Ram.Tx`, as if it was alone.

  All that it reads is of one revision. What it writes becomes visible when it has returned, all at
  once, if nothing that it read has changed meanwhile, ranges included; else it runs again, so it
  should have no other effects. `Ram.Tx.abort/2` ends it with nothing changed, and so does what it
  raises. What is decided on data alone is cheaper with `txn/4`.

      iex> Ram.put_many(account: 1, savings: 100)
      iex> Ram.transaction(fn tx ->
      ...>   savings = Ram.Tx.get(tx, :savings)
      ...>   Ram.Tx.put(tx, :savings, savings - 10)
      ...>   Ram.Tx.put(tx, :account, Ram.Tx.get(tx, :account) + 10)
      ...>   savings
      ...> end)
      {:ok, 100}
      iex> Ram.get_many([:account, :savings])
      %{account: 11, savings: 90}

  Options:

    * `retries`: how often it runs again (16); beyond that it is `{:aborted, :conflict}`.
    * `timeout`: in milliseconds, for all runs together.
  """
  @spec transaction((Ram.Tx.t() -> result), [
          {:retries, non_neg_integer()} | {:timeout, timeout()}
        ]) :: {:ok, result} | {:aborted, reason :: term()}
        when result: term()
  def transaction(fun, options \\ [])
  def transaction(fun, []), do: raising(:ram.transaction(fun))
  def transaction(fun, options), do: raising(:ram.transaction(fun, Map.new(options)))

  ## Scans

  @doc """
  Calls `fun` with each `{key, value}` of a table and an accumulator, which it returns.

  The table is as it was at one revision, while writes go on; an ordered one in the order of its
  keys. `fun` runs in the calling process and may take its time, up to a minute for a thousand
  entries. Up to 256 MiB of what changes meanwhile are kept for it: beyond that the oldest scan is a
  `Ram.Error` with the reason `{:expired, rev}`. Options: `reverse`, and those of reads.

      iex> Ram.create_table(:prices)
      iex> Ram.put_many([apple: 2, pear: 3], table: :prices)
      iex> Ram.fold(fn {_fruit, price}, sum -> sum + price end, 0, table: :prices)
      5
  """
  @spec fold(({key(), value()}, acc -> acc), acc, [{:reverse, boolean()} | read_option()]) :: acc
        when acc: term()
  def fold(fun, acc, options \\ [])
  def fold(fun, acc, []), do: raising(:ram.fold(fun, acc))
  def fold(fun, acc, options), do: raising(:ram.fold(fun, acc, Map.new(options)))

  @doc """
  Calls `fun` with each `{key, value}` of a table; see `fold/3`.

      iex> Ram.create_table(:guests, type: :ordered_set)
      iex> Ram.put_many([ada: 1, bob: 2], table: :guests)
      iex> Ram.foreach(&send(self(), &1), table: :guests, reverse: true)
      :ok
      iex> for _ <- 1..2, do: receive(do: (guest -> guest))
      [bob: 2, ada: 1]
  """
  @spec foreach(({key(), value()} -> term()), [{:reverse, boolean()} | read_option()]) :: :ok
  def foreach(fun, options \\ [])
  def foreach(fun, []), do: raising(:ram.foreach(fun))
  def foreach(fun, options), do: raising(:ram.foreach(fun, Map.new(options)))

  @doc """
  All `{key, value}` of a table at one revision, in the order of the keys if it is ordered.

  Options: `t:scan_option/0`.

      iex> Ram.create_table(:week, type: :ordered_set)
      iex> Ram.put_many([{1, :monday}, {2, :tuesday}, {3, :wednesday}], table: :week)
      iex> {days, more} = Ram.to_list(table: :week, limit: 2)
      iex> days
      [{1, :monday}, {2, :tuesday}]
      iex> Ram.to_list(table: :week, limit: 2, continuation: more)
      {[{3, :wednesday}], :done}
  """
  @spec to_list([scan_option()]) :: entries()
  def to_list(options \\ []) do
    options = Map.new(options)
    raising(:ram.to_list(options))
  end

  @doc """
  All keys of a table; options as those of `to_list/1`.

      iex> Ram.create_table(:ring, type: :ordered_set)
      iex> Ram.put_many([b: 2, a: 1], table: :ring)
      iex> Ram.keys(table: :ring, reverse: true)
      [:b, :a]
  """
  @spec keys([scan_option()]) :: entries()
  def keys(options \\ []) do
    options = Map.new(options)
    raising(:ram.keys(options))
  end

  @doc """
  What a match specification of `:ets` makes of the `{key, value}` of a table.

  Options as those of `to_list/1` but `keys_only`: the specification says what is returned. It goes
  over all of the table.

      iex> Ram.create_table(:pets)
      iex> Ram.put_many([cat: 4, bird: 2], table: :pets)
      iex> Ram.select([{{:"$1", :"$2"}, [{:>, :"$2", 3}], [:"$1"]}], table: :pets)
      [:cat]
  """
  @spec select(:ets.match_spec(), [select_option()]) :: entries()
  def select(spec, options \\ []) do
    options = Map.new(options)
    raising(:ram.select(spec, options))
  end

  @doc """
  Has a process told of what changes: of `{:key, key}`, of `{:prefix, prefix}` or `{:range, from, to}`
  in an ordered table, or of `:all` keys of a table.

  `{:ok, watch, rev}`: all changes after `rev` are sent, once, in order, all that one write changed
  in one message. The messages are:

    * `{:ram_event, watch, rev, events}`, where an event is `{:put, key, value}` or
      `{:delete, key, why}`, with `:deleted`, `:expired`, `:owner_down` or `:dropped`.
    * `{:ram_event, watch, rev, :initial_done}`: with `initial`, all that was there was sent.
    * `{:ram_event, watch, rev, :lost}`: the watch has ended, and all up to `rev` was sent.

  The receiver gives credit back with `watch_ack/2`. A module of the behaviour `:ram_watcher` needs
  no loop.

  Options: `initial: true`, first what is there; `from: rev`, what changed from this revision on, or
  `{:error, {:compacted, oldest}}` where this node knows no more of that; `old: true`, puts are
  `{:put, key, value, {:ok, old} | :error}`; `to: pid`, the receiver; `events_max` (1024), the
  credit; `bytes_max` (16 MiB), what may wait without credit; `table` and `timeout`.

      iex> {:ok, watch, _rev} = Ram.watch({:key, :door})
      iex> Ram.put(:door, :open)
      iex> receive do
      ...>   {:ram_event, ^watch, rev, events} ->
      ...>     Ram.watch_ack(watch, rev)
      ...>     events
      ...> end
      [{:put, :door, :open}]
      iex> Ram.unwatch(watch)
      :ok
  """
  @spec watch(:ram.watched(), [watch_option()]) ::
          {:ok, :ram.watch(), non_neg_integer()} | {:error, {:compacted, rev()}}
  def watch(what, options \\ []) do
    options = Map.new(options)
    raising(:ram.watch(what, options))
  end

  @doc """
  Ends a watch: nothing is sent any more, and what the calling process has not received of it is
  dropped.
  """
  @spec unwatch(:ram.watch()) :: :ok
  def unwatch(watch), do: raising(:ram.unwatch(watch))

  @doc "Gives back the credit of a message with this revision, and of all before it."
  @spec watch_ack(:ram.watch(), non_neg_integer()) :: :ok
  def watch_ack(watch, rev), do: raising(:ram.watch_ack(watch, rev))

  ## Locks

  @doc """
  Takes a lock, if nobody holds it: `{:ok, token}`, or `{:error, :held}`.

  With `wait: ms` it is waited for, in the order of the calls; `{:error, :timeout}` when the time is
  over. The lock is held by the calling process, until it is unlocked, or the process ends, or its
  node is gone for `owner_timeout_ms` (15000 by default). It is not reentrant.

  **A lock without a check of its token at the resource is not mutual exclusion.** A process that
  was frozen does not know that its time is over. The token grows from holder to holder: send it
  along, and have the resource refuse one that is smaller than the largest it has seen.

  A process that lost its lock is sent `{:ram_event, :owner_lost, {name, _}, rev}` when its node
  knows. Option `timeout`: for how long the cluster is waited for, at each step.

      iex> {:ok, token} = Ram.lock({:report, :monday})
      iex> Ram.lock({:report, :monday})
      {:error, :held}
      iex> Ram.lock({:report, :monday}, wait: 10)
      {:error, :timeout}
      iex> Ram.unlock({:report, :monday}, token)
      true
      iex> Ram.unlock({:report, :monday}, token)
      false
  """
  @spec lock(name :: term(), [lock_option()]) :: {:ok, :ram.token()} | {:error, :held | :timeout}
  def lock(name, options \\ [])
  def lock(name, []), do: raising(:ram.lock(name))
  def lock(name, options), do: raising(:ram.lock(name, Map.new(options)))

  @doc """
  Gives a lock back: `true`, or `false` when it is not held with this token. Whoever knows the token
  may do it.
  """
  @spec unlock(name :: term(), :ram.token()) :: boolean()
  def unlock(name, token), do: raising(:ram.unlock(name, token))

  @doc """
  Runs `fun` with the token of a lock while the calling process holds it; options as those of
  `lock/2`.

  What `fun` raises is raised, when the lock was given back. `{:error, :lost}`: `fun` has returned,
  and the lock was lost before that.

      iex> Ram.with_lock(:printer, fn token -> is_integer(token) end)
      {:ok, true}
      iex> Ram.with_lock(:printer, fn _ -> Ram.with_lock(:printer, & &1, wait: 10) end, wait: 5_000)
      {:ok, {:error, :timeout}}
      iex> Ram.with_lock(:printer, &Ram.unlock(:printer, &1))
      {:error, :lost}
  """
  @spec with_lock(name :: term(), (:ram.token() -> result), [lock_option()]) ::
          {:ok, result} | {:error, :held | :timeout | :lost}
        when result: term()
  def with_lock(name, fun, options \\ [])
  def with_lock(name, fun, []), do: raising(:ram.with_lock(name, fun))
  def with_lock(name, fun, options), do: raising(:ram.with_lock(name, fun, Map.new(options)))

  @doc """
  The `{key, value}` of an ordered table from one key to another, both included.

  Keys have Erlang's order, and `1` comes before `1.0`. `:"$first"` and `:"$last"` stand for the
  ends of the table, `{:key, key}` for any key literally. Options as those of `to_list/1`.

      iex> Ram.create_table(:scores, type: :ordered_set)
      iex> Ram.put_many([{10, :ada}, {20, :bob}, {30, :eve}], table: :scores)
      iex> Ram.range(10, 20, table: :scores)
      [{10, :ada}, {20, :bob}]
      iex> Ram.range(15, :"$last", table: :scores, reverse: true, keys_only: true)
      [30, 20]
  """
  @spec range(from :: key(), to :: key(), [scan_option()]) :: entries()
  def range(from, to, options \\ []) do
    options = Map.new(options)
    raising(:ram.range(from, to, options))
  end

  @doc """
  The `{key, value}` of an ordered table whose keys begin with a list or a binary; or, with
  `{:tuple, size, first_elements}`, that are tuples of this size with these first elements.

  Options as those of `to_list/1`.

      iex> Ram.create_table(:paths, type: :ordered_set)
      iex> Ram.put_many([{"/a/1", 1}, {"/a/2", 2}, {"/b", 3}, {{:a, 1}, 4}], table: :paths)
      iex> Ram.prefix("/a/", table: :paths)
      [{"/a/1", 1}, {"/a/2", 2}]
      iex> Ram.prefix({:tuple, 2, [:a]}, table: :paths)
      [{{:a, 1}, 4}]
  """
  @spec prefix(:ram.key_prefix(), [scan_option()]) :: entries()
  def prefix(prefix, options \\ []) do
    options = Map.new(options)
    raising(:ram.prefix(prefix, options))
  end

  @doc """
  The first `{key, value}` of an ordered table, or `:error` when it is empty.

      iex> Ram.create_table(:steps, type: :ordered_set)
      iex> Ram.first(table: :steps)
      :error
      iex> Ram.put_many([a: 1, b: 2], table: :steps)
      iex> {Ram.first(table: :steps), Ram.last(table: :steps)}
      {{:ok, {:a, 1}}, {:ok, {:b, 2}}}
      iex> {Ram.next(:a, table: :steps), Ram.prev(:a, table: :steps)}
      {{:ok, {:b, 2}}, :error}
  """
  @spec first([read_option()]) :: {:ok, {key(), value()}} | :error
  def first(options \\ []) do
    options = Map.new(options)
    raising(:ram.first(options))
  end

  @doc "The last `{key, value}` of an ordered table, or `:error` when it is empty."
  @spec last([read_option()]) :: {:ok, {key(), value()}} | :error
  def last(options \\ []) do
    options = Map.new(options)
    raising(:ram.last(options))
  end

  @doc "The first `{key, value}` behind a key, which need not be there, of an ordered table."
  @spec next(key(), [read_option()]) :: {:ok, {key(), value()}} | :error
  def next(key, options \\ []) do
    options = Map.new(options)
    raising(:ram.next(key, options))
  end

  @doc "The last `{key, value}` before a key, which need not be there, of an ordered table."
  @spec prev(key(), [read_option()]) :: {:ok, {key(), value()}} | :error
  def prev(key, options \\ []) do
    options = Map.new(options)
    raising(:ram.prev(key, options))
  end

  ## Tables

  @doc """
  Makes a table, on all nodes; an error with the reason `:exists` when there is one of that name.

  Options: `type`, `:set` or `:ordered_set`, which keeps keys in their order; and `timeout`.

      iex> Ram.create_table(:users)
      :ok
      iex> {:error, error} = Ram.create_table(:users)
      iex> error.reason
      :exists
      iex> Ram.put(1, "Ada", table: :users)
      :ok
      iex> Ram.drop_table(:users)
      :ok
  """
  @spec create_table(atom(), [{:type, :set | :ordered_set} | {:timeout, timeout()}]) :: result()
  def create_table(name, options \\ []) do
    options = Map.new(options)
    result(raising(:ram.create_table(name, options)))
  end

  @doc "As `create_table/2`; raises the `Ram.Error`."
  @spec create_table!(atom(), [{:type, :set | :ordered_set} | {:timeout, timeout()}]) :: :ok
  def create_table!(name, options \\ []), do: bang(create_table(name, options))

  @doc """
  Deletes a table with all that is in it; an error with the reason `:no_table` when there is none.
  """
  @spec drop_table(atom()) :: result()
  def drop_table(name), do: result(raising(:ram.drop_table(name)))

  @doc "As `drop_table/1`; raises the `Ram.Error`."
  @spec drop_table!(atom()) :: :ok
  def drop_table!(name), do: bang(drop_table(name))

  @doc """
  The names of all tables, sorted.

      iex> :default in Ram.tables()
      true
  """
  @spec tables() :: [atom()]
  def tables, do: raising(:ram.tables())

  @doc """
  What there is to know of a table: its type, how many keys it has, and the bytes of its keys and
  values; `:error` when there is none of this name.

      iex> Ram.create_table(:shelf, type: :ordered_set)
      iex> Ram.info(:shelf)
      %{type: :ordered_set, size: 0, bytes: 0}
      iex> Ram.info(:no_such_shelf)
      :error
  """
  @spec info(atom()) ::
          %{type: :set | :ordered_set, size: non_neg_integer(), bytes: non_neg_integer()} | :error
  def info(name), do: raising(:ram.info(name))

  @doc """
  How many keys a table has; options as those of reads.

      iex> Ram.create_table(:drawer)
      iex> Ram.put(:sock, 2, table: :drawer)
      iex> Ram.size(table: :drawer)
      1
  """
  @spec size([read_option()]) :: non_neg_integer()
  def size(options \\ []) do
    options = Map.new(options)
    raising(:ram.size(options))
  end

  @doc """
  Whether a write that failed so may have happened: the `outcome` of a `Ram.Error`, also for a bare
  reason of `:ram`.

  `:not_applied`: it did not happen and never will. `:unknown`: it may have happened, or may still;
  to find out, read the key. For whatever is not a reason of ram it is `:unknown`.

      iex> Ram.outcome(:noproc)
      :not_applied
      iex> Ram.outcome(Ram.Error.exception({:timeout, {:ram, node()}}))
      :unknown
  """
  @spec outcome(Ram.Error.t() | term()) :: :not_applied | :unknown
  def outcome(%Ram.Error{outcome: outcome}), do: outcome
  def outcome(reason), do: :ram.outcome(reason)

  ## Cluster

  @doc """
  Starts the application `:ram` and what it needs.

  Not needed where `:ram` is a dependency of your own application. Raises `Ram.Error` when the
  configuration is wrong.
  """
  @spec start() :: :ok
  def start do
    :ram.start()
  catch
    :error, reason -> raise Ram.Error, reason
  end

  @doc """
  Stops the application `:ram` on this node; the data stays. A leader hands its lead over first.
  """
  @spec stop() :: result()
  def stop, do: result(:ram.stop())

  @doc """
  Finds the cluster of these nodes, or makes it, starting the application on them as needed.

  May be called at every start, on every node, in any order; `Ram.Cluster` does so in a supervision
  tree. Options:

    * `storage`: `:disk` or `:memory`, for all of the nodes. Without it the setting of the first
      node counts, which is `:disk` unless it says otherwise.
    * `wait_ms`: for how long nodes that cannot be reached, or a majority, are waited for; 0 to be
      told at once, 30000 by default.

  Each reason names the node that is at fault: `{:unreachable, nodes}`,
  `{:not_reached, node, address, cause}`, `{:already_clustered, nodes}`, `{:failed, node, reason}`
  and others. `{:running_on, nodes, reason}` with this node in `nodes` says that this node serves
  and another needs a hand.

      iex> Ram.start_cluster([node()])
      :ok
  """
  @spec start_cluster([node()], [start_option()]) :: result()
  def start_cluster(nodes, options \\ []) do
    options = Map.new(options)
    result(raising(:ram.start_cluster(nodes, options)))
  end

  @doc "As `start_cluster/2`; raises the `Ram.Error`."
  @spec start_cluster!([node()], [start_option()]) :: :ok
  def start_cluster!(nodes, options \\ []), do: bang(start_cluster(nodes, options))

  @doc """
  Stops the members on these nodes and deletes their data.
  """
  @spec stop_cluster([node()]) :: result()
  def stop_cluster(nodes), do: result(raising(:ram.stop_cluster(nodes)))

  @doc "As `stop_cluster/1`; raises the `Ram.Error`."
  @spec stop_cluster!([node()]) :: :ok
  def stop_cluster!(nodes), do: bang(stop_cluster(nodes))

  @doc """
  Makes a node a member of the cluster of this node.

  Returns when it is a full member that has caught up: up to ten minutes. Until then the others need
  it for nothing. A node that lost its data comes back as a new member.
  """
  @spec add_node(node()) :: result()
  def add_node(node), do: result(raising(:ram.add_node(node)))

  @doc "As `add_node/1`; raises the `Ram.Error`."
  @spec add_node!(node()) :: :ok
  def add_node!(node), do: bang(add_node(node))

  @doc """
  Takes a node out of the cluster and deletes its data there.

  Also one that is down, and the leader, also by itself; not the last member.
  """
  @spec remove_node(node()) :: result()
  def remove_node(node), do: result(raising(:ram.remove_node(node)))

  @doc "As `remove_node/1`; raises the `Ram.Error`."
  @spec remove_node!(node()) :: :ok
  def remove_node!(node), do: bang(remove_node(node))

  @doc "Takes the node `new` in and `dead` out."
  @spec replace_node(dead :: node(), new :: node()) :: result()
  def replace_node(dead, new), do: result(raising(:ram.replace_node(dead, new)))

  @doc "As `replace_node/2`; raises the `Ram.Error`."
  @spec replace_node!(dead :: node(), new :: node()) :: :ok
  def replace_node!(dead, new), do: bang(replace_node(dead, new))

  @doc """
  The way out when a majority of the members is lost for good: data may be lost.

  Options, both required: `survivors`, the nodes that are left, and `confirm`, the id of the cluster
  as `status/0` tells it under `cluster`. `:ram.force_recover/1` says what happens to whose data.

      Ram.force_recover(survivors: [node()], confirm: Ram.status().cluster)
  """
  @spec force_recover(survivors: [node()], confirm: binary()) ::
          {:ok, map()} | {:error, Ram.Error.t()}
  def force_recover(options) do
    options = Map.new(options)
    result(raising(:ram.force_recover(options)))
  end

  @doc "As `force_recover/1`; returns the report, or raises the `Ram.Error`."
  @spec force_recover!(survivors: [node()], confirm: binary()) :: map()
  def force_recover!(options), do: bang(force_recover(options))

  @doc """
  Starts the member of this node again after it failed or was stopped.
  """
  @spec restart_server() :: result()
  def restart_server, do: result(raising(:ram.restart_server()))

  @doc "As `restart_server/0`; raises the `Ram.Error`."
  @spec restart_server!() :: :ok
  def restart_server!, do: bang(restart_server())

  @doc """
  The members of the cluster, as this node knows them, sorted.

      iex> Ram.nodes()
      [node()]
  """
  @spec nodes() :: [node()]
  def nodes, do: raising(:ram.nodes())

  @doc """
  The node that leads the cluster, as this node knows it; `nil` while none is elected.

      iex> Ram.leader()
      node()
  """
  @spec leader() :: node() | nil
  def leader do
    case raising(:ram.leader()) do
      :undefined -> nil
      node -> node
    end
  end

  @doc """
  What this node knows of itself and its cluster, and why it runs no member when it runs none. Never
  raises. `:ram.status/0` tells what is in it.

      iex> %{role: :leader, storage: storage} = Ram.status()
      iex> storage
      :memory
  """
  @spec status() :: map()
  def status, do: :ram.status()

  ## Backups

  @doc """
  Writes all keys and values of one moment into a new file on this node, while reads and writes go
  on.

  `{:error, error}` with the reason `{:file, text}` when the file exists, its folder does not, or
  the disk failed.
  """
  @spec backup(Path.t()) :: result()
  def backup(file), do: result(raising(:ram.backup(path(file))))

  @doc "As `backup/1`; raises the `Ram.Error`."
  @spec backup!(Path.t()) :: :ok
  def backup!(file), do: bang(backup(file))

  @doc """
  Puts all that a backup holds into this cluster, which must be empty.

  The whole file is verified before the first put. Nobody should write until it returns. With the
  reason `{:partly, restored, total, reason}` it failed half-way: `stop_cluster/1`,
  `start_cluster/2` and another `restore/1` begin afresh.
  """
  @spec restore(Path.t()) :: result()
  def restore(file), do: result(raising(:ram.restore(path(file))))

  @doc "As `restore/1`; raises the `Ram.Error`."
  @spec restore!(Path.t()) :: :ok
  def restore!(file), do: bang(restore(file))

  # Erlang takes text or a binary, not both in one.
  defp path(file) when is_list(file), do: IO.chardata_to_string(file)
  defp path(file), do: file

  defp result({:error, reason}), do: {:error, Ram.Error.exception(reason)}
  defp result(done), do: done

  defp bang(:ok), do: :ok
  defp bang({:ok, value}), do: value
  defp bang({:error, error}), do: raise(error)
end
