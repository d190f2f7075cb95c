%% Tables of ram itself, for locks and for names of processes: made by the first write, shown by no
%% call and named by none (`ram_arguments:table/1'). Called by ram_lock and ram_registry, which
%% check what their users gave them.
-module(ram_own_table).

-export([owned/5, run/6, keys/3]).
-export_type([table/0]).

%% The name begins with `$ram_'.
-type table() :: {Name :: atom(), set | ordered_set}.

%% @doc The command that puts a key, which goes when this process ends: the second argument of the
%% call, where that names one.
-spec owned(Key :: term(), Value :: term(), pid(), timeout() | default, ram_error:call()) ->
          ram_write:command().
owned(Key, Value, Owner, TimeoutMs, Call) ->
    {Member, LimitMs, _Table} = ram_write:target(limited(default, TimeoutMs), Call),
    case ram_owned:owner(Owner, {Member, LimitMs}) of
        {owner, Encoded} ->
            {put, none, Key, term_to_binary(Value), infinity, Encoded};
        {error, {not_member, _}} ->
            ram_arguments:wrong(Call, 2, "must be a process of a node of the cluster, and is ~0tp",
                                [Owner]);
        {error, Reason} ->
            ram_error:failure(Reason, Call)
    end.

%% @doc As ram_write:run/4, and makes the table first where there is none, all within the time
%% limit.
-spec run(table(), timeout() | default, [ram_write:condition()], [ram_write:command()],
          [ram_write:command()], ram_error:call()) ->
          {ran, boolean(), ram:rev(), [none | ram_write:held()]} | {error, term()}.
run({Name, Type}, TimeoutMs, Conditions, Then, Otherwise, Call) ->
    {_Member, LimitMs, Table} = Target = ram_write:target(limited(Name, TimeoutMs), Call),
    Deadline = now_ms() + LimitMs,
    case ram_write:run(Target, Conditions, Then, Otherwise) of
        {error, {no_table, Table}} ->
            case ram_write:change_table({create, Table, Type}, left(Target, Deadline)) of
                {error, Reason} when Reason =/= exists -> {error, Reason};
                _IsThere -> ram_write:run(left(Target, Deadline), Conditions, Then, Otherwise)
            end;
        Answer ->
            Answer
    end.

limited(Name, default) -> #{table => Name};
limited(Name, TimeoutMs) -> #{table => Name, timeout => TimeoutMs}.

left({Member, _LimitMs, Table}, Deadline) ->
    {Member, max(0, Deadline - now_ms()), Table}.

now_ms() ->
    erlang:monotonic_time(millisecond).

%% @doc The keys of a range or of the whole table; none where there is no table yet.
-spec keys(ram_nif:key_range() | all, ram_options:asked(), ram_error:call()) -> [term()].
keys(Range, #{name := Name} = Asked, Call) ->
    try ram_scan:keys_in(Range, Asked, Call)
    catch error:{no_table, Name} -> []
    end.
