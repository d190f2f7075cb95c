%% Generators of random terms of every kind, for PropEr, whose header Debian comes without; and keys
%% that take long to encode.
-module(ram_terms).

-export([term/0, leaf/0, number/0, map/1, native_record/1, native_record/5, float_of/1]).
-export([long_keys/0, long_key/1]).

-define(LET(X, Type, Gen), proper_types:bind(Type, fun(X) -> Gen end, false)).
-define(LAZY(Gen), proper_types:lazy(fun() -> Gen end)).
-define(SIZED(Size, Gen), proper_types:sized(fun(Size) -> Gen end)).

-import(proper_types, [oneof/1, frequency/1, range/2, elements/1, vector/2]).

term() -> ?SIZED(Size, term(Size)).

term(Size) when Size < 2 -> leaf();
term(Size) ->
    once({term, Size}, fun() ->
        frequency([{3, leaf()},
                   {2, ?LET(L, parts(Size), list_to_tuple(L))},
                   {2, parts(Size)},
                   {1, ?LET({L, T}, {parts(Size), leaf()}, L ++ T)},
                   {3, ?LAZY(map(Size))},
                   {1, ?LET({T, N}, {part(Size), range(1, 100)}, nest(T, N))}]
                  ++ [{2, ?LAZY(native_record(Size))} || ram_records:available()])
    end).

native_record(Size) ->
    ?LET({Module, Name, IsExported, Names, Values},
         {elements([m, 'é', 'ю']), elements([m, n]), elements([true, false]),
          elements([[b, a, 'ю', ''], [a, b, c, d]]), parts(Size)},
         native_record(Module, Name, IsExported, lists:sublist(Names, length(Values)), Values)).

native_record(Module, Name, IsExported, Names, Values) ->
    ram_records:record(Module, Name, IsExported, lists:zip(Names, Values)).

part(Size) -> ?LAZY(term(Size div 3)).

parts(Size) -> ?LET(N, range(0, 4), vector(N, part(Size))).

map(Size) ->
    once({map, Size}, fun() ->
        frequency([{8, pairs(range(0, 5), part(Size), part(Size))},
                   {4, pairs(range(1, 6), number_key(), leaf())},
                   {1, pairs(range(33, 40), oneof([number(), text_atom()]), range(0, 3))}])
    end).

pairs(Count, Key, Value) ->
    ?LET(N, Count, ?LET(Pairs, vector(N, {Key, Value}), maps:from_list(Pairs))).

number_key() ->
    once(number_key, fun() ->
        oneof([number(), range(-3, 3), small_float(), {number()}, [small_float()]])
    end).

nest(T, 0) -> T;
nest(T, N) ->
    nest(case N rem 5 of 0 -> {T}; 1 -> [T]; 2 -> [T | a]; 3 -> #{k => T}; 4 -> {1, T} end, N - 1).

leaf() ->
    once(leaf, fun() ->
        frequency([{4, number()}, {3, atom()}, {3, bits()}, {1, elements([[], {}, #{}])},
                   {1, pid_term()}, {1, port_term()}, {1, reference_term()}, {1, fun_term()}])
    end).

number() ->
    once(number, fun() ->
        oneof([range(-300, 300), near_power(), big(), small_float(), any_float(), near_float()])
    end).

%% PropEr takes longer to build a type than to draw from it.
once(Name, Build) ->
    case persistent_term:get({?MODULE, Name}, none) of
        none ->
            Type = Build(),
            persistent_term:put({?MODULE, Name}, Type),
            Type;
        Type -> Type
    end.

byte() -> range(0, 255).

near_power() ->
    ?LET({E, Step, Sign}, {range(0, 1100), range(-2, 2), elements([1, -1])},
         Sign * ((1 bsl E) + Step)).

%% Some with many zeros at the end, some above the largest float.
big() ->
    ?LET({Bytes, Zeros, Sign},
         {?LET(N, range(1, 40), vector(N, byte())),
          elements([0, 0, 1, 64, 3000]),
          elements([1, -1])},
         Sign * (binary:decode_unsigned(list_to_binary(Bytes)) bsl Zeros)).

small_float() -> ?LET(Half, range(-8, 8), Half / 2).

any_float() ->
    oneof([?LET(Bits, range(0, (1 bsl 64) - 1), float_of(Bits)),
           ?LET({Bits, Sign}, {range(1, (1 bsl 52) - 1), range(0, 1)},
                float_of(Sign bsl 63 bor Bits)),
           elements([0.0, -0.0, 5.0e-324, -5.0e-324, 2.2250738585072014e-308,
                     1.7976931348623157e308, -1.7976931348623157e308])]).

%% A power of two, or an integer, and the floats beside it.
near_float() ->
    ?LET({Near, Step}, {oneof([near_power(), big()]), range(-2, 2)},
         case abs(Near) < 1 bsl 1023 of
             true -> <<Bits:64>> = <<(float(Near))/float>>, float_of(Bits + Step);
             false -> 1.0e308
         end).

float_of(Bits) ->
    case <<(abs(Bits)):64>> of
        <<Float/float>> -> Float;
        _ -> 0.5
    end.

atom() ->
    oneof([elements([a, b, ab, '', undefined, true, 'Elixir.Enum',
                     list_to_atom(lists:duplicate(255, 233)),
                     list_to_atom(lists:duplicate(255, 128512))]), text_atom()]).

text_atom() ->
    Char = elements([0, 1, 2, $a, $b, 127, 128, 233, 255, 256, 8364, 65535, 128512]),
    ?LET(N, range(0, 3), ?LET(Text, vector(N, Char), list_to_atom(Text))).

bits() ->
    Byte = oneof([byte(), elements([0, 0, 1, 254, 255])]),
    ?LET({N, Size}, {range(0, 9), range(0, 7)},
         ?LET({Bytes, Last}, {vector(N, Byte), byte()},
              <<(list_to_binary(Bytes))/binary, Last:Size>>)).

%%% Terms that name something somewhere, in all the forms in which a peer may send them

pid_term() ->
    ?LET({Form, Node, Id, Serial, Creation},
         {range(1, 4), node_name(), range(0, 32767), range(0, 8191), range(0, 3)},
         case Form of
             1 -> self();
             2 -> list_to_pid("<0.9.0>");
             3 -> from_etf([103, Node, <<Id:32, Serial:32, Creation>>]);
             4 -> from_etf([88, Node, <<Id:32, Serial:32, (Creation * 999999):32>>])
         end).

port_term() ->
    ?LET({Form, Node, Id, Creation},
         {range(1, 4), node_name(), range(0, (1 bsl 28) - 1), range(0, 3)},
         case Form of
             1 -> hd(erlang:ports());
             2 -> from_etf([102, Node, <<Id:32, Creation>>]);
             3 -> from_etf([89, Node, <<Id:32, (Creation * 999999):32>>]);
             4 -> from_etf([120, <<100, 3:16>>, "a@b", <<(Id bsl 20):64, Creation:32>>])
         end).

reference_term() ->
    ?LET({Form, Node, N, Word, Creation},
         {range(1, 5), node_name(), range(1, 5), oneof([0, range(0, 1 bsl 18 - 1)]),
          range(0, 3)},
         case Form of
             1 -> make_ref();
             2 -> long_reference();
             3 -> from_etf([114, <<3:16>>, Node, Creation, <<Word:32, Word:32, Word:32>>]);
             4 -> from_etf([90, <<3:16>>, Node, <<Creation:32, Word:32, 1:32, 2:32>>]);
             5 -> from_etf([90, <<N:16, 100, 3:16>>, "a@b", <<Creation:32>>,
                            lists:duplicate(N, <<Word:32>>)])
         end).

%% An alias has more words than other references.
long_reference() ->
    Alias = erlang:alias(),
    true = erlang:unalias(Alias),
    Alias.

fun_term() ->
    ?LET({M, F, A}, {text_atom(), text_atom(), byte()}, erlang:make_fun(M, F, A)).

node_name() ->
    elements([[<<100, 3:16>>, "a@b"], [<<115, 3>>, [233], "@b"],
              [<<119, 4>>, <<"é@b"/utf8>>], [<<118, 5:16>>, <<"€@b"/utf8>>],
              [<<119, 13>>, "nonode@nohost"]]).

from_etf(Data) -> binary_to_term(iolist_to_binary([131 | Data])).

%%% Keys within the limit of a key, each beyond what is encoded on a scheduler

-spec long_keys() -> [atom()].
long_keys() ->
    [small_maps, maps_in_maps, maps_in_keys, list, tuples, tuple, funs, bits].

-spec long_key(atom()) -> term().
long_key(small_maps) -> lists:duplicate(8000, #{a => 1});
long_key(maps_in_maps) -> lists:foldl(fun(_, In) -> #{a => In, b => 1} end, a, lists:seq(1, 6000));
long_key(maps_in_keys) -> lists:foldl(fun(_, In) -> #{In => 1, {In} => 2} end, a, lists:seq(1, 12));
long_key(list) -> lists:duplicate(30000, []);
long_key(tuples) -> lists:foldl(fun(_, In) -> {In} end, a, lists:seq(1, 20000));
long_key(tuple) -> erlang:make_tuple(60000, []);
long_key(funs) -> lists:duplicate(2000, fun lists:map/2);
long_key(bits) -> lists:duplicate(9000, <<1:3>>).
